//! Chromium, headless, with a profile of its own: each visitor has cookies of their own.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::programs::{Running, installed};
use headless_chrome::protocol::cdp::types::Method;
use headless_chrome::protocol::cdp::{Emulation, Network, Page as PageDomain};
use headless_chrome::{Browser, Tab};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long Chromium may take to start, and a page to load; a busy machine needs many seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// What a test's browser has no business with: the network, a graphics card, first-run pages.
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];
/// A person's browser: the headless one calls itself a crawler's name.
const DESKTOP: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const PHONE: &str =
    "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";

/// A running browser; dropping it ends it.
pub struct Chromium {
    browser: Browser,
    running: Running,
    _profile: TempDir,
}

impl Chromium {
    /// Starts one; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let profile = TempDir::new().unwrap();
        let mut running = Running::start(&installed("chromium", "chromium")?, |command| {
            command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        });
        // Chromium writes the port that it took and the path of its socket here.
        let file = profile.path().join("DevToolsActivePort");
        let url = running.wait_for("Chromium's port", LIMIT, || {
            let text = fs::read_to_string(&file).ok()?;
            let (port, path) = text.trim().split_once('\n')?;
            Some(format!("ws://127.0.0.1:{port}{path}"))
        });
        let browser = Browser::connect_with_timeout(url, LIMIT * 5).unwrap();
        Some(Self { browser, running, _profile: profile })
    }

    /// A visitor with a computer, who was never here.
    pub fn visitor(&self) -> Page {
        let tab = self.browser.new_context().unwrap().new_tab().unwrap();
        tab.set_default_timeout(LIMIT);
        let page = Page { tab };
        page.call::<Emulation::SetUserAgentOverride>(
            json!({ "userAgent": DESKTOP, "userAgentMetadata": metadata(false) }),
        );
        page.screen(1100, 840, 1.0, false);
        page
    }

    /// A visitor with a phone who asks for less data.
    pub fn phone_on_a_slow_network(&self) -> Page {
        let page = self.visitor();
        page.call::<Emulation::SetUserAgentOverride>(
            json!({ "userAgent": PHONE, "userAgentMetadata": metadata(true) }),
        );
        page.screen(390, 760, 1.5, true);
        page.headers(&json!({ "Save-Data": "on" }));
        page
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Asked to end, it leaves no process that still writes into the profile; `Running` kills it otherwise.
        if let Some(tab) = self.browser.get_tabs().lock().ok().and_then(|tabs| tabs.first().cloned()) {
            let _ = tab.call_method(headless_chrome::protocol::cdp::Browser::Close(None));
        }
        self.running.ends_within(Duration::from_secs(3));
    }
}

/// Client hints that go with the names above.
fn metadata(mobile: bool) -> Value {
    let brands = json!([{ "brand": "Chromium", "version": "142" }, { "brand": "Google Chrome", "version": "142" }]);
    let platform = if mobile { "Android" } else { "Linux" };
    json!({ "brands": brands, "platform": platform, "platformVersion": "16", "architecture": "", "model": "", "mobile": mobile })
}

/// A visitor's tab.
pub struct Page {
    tab: Arc<Tab>,
}

impl Page {
    /// Any command of the protocol, its parameters as JSON.
    pub fn call<C: Method + Serialize + DeserializeOwned + std::fmt::Debug>(
        &self,
        parameters: Value,
    ) -> C::ReturnObject {
        let command: C = serde_json::from_value(parameters).unwrap();
        self.tab.call_method(command).unwrap()
    }

    /// How large the window is, in CSS pixels, and how many of the screen's one of them has.
    pub fn screen(&self, width: u32, height: u32, scale: f64, mobile: bool) {
        self.call::<Emulation::SetDeviceMetricsOverride>(
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile }),
        );
    }

    /// Headers that every request carries beside Chromium's own.
    pub fn headers(&self, headers: &Value) {
        // Without this the wish is taken, and forgotten.
        self.call::<Network::Enable>(json!({}));
        self.call::<Network::SetExtraHTTPHeaders>(json!({ "headers": headers }));
    }

    /// Gives the visitor a cookie from an earlier visit.
    pub fn cookie(&self, url: &str, name: &str, value: &str) {
        let set = self.call::<Network::SetCookie>(json!({ "url": url, "name": name, "value": value }));
        assert!(set.success);
    }

    /// Runs a script before those of every page to come.
    pub fn before_every_page(&self, script: &str) {
        self.call::<PageDomain::AddScriptToEvaluateOnNewDocument>(json!({ "source": script }));
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.tab.navigate_to(url).unwrap().wait_until_navigated().unwrap();
        self.until("document.readyState === 'complete'");
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.tab.reload(false, None).unwrap().wait_until_navigated().unwrap();
        self.until("document.readyState === 'complete'");
    }

    /// The value of an expression, as JSON.
    pub fn value(&self, expression: &str) -> Value {
        let text = self
            .tab
            .evaluate(&format!("Promise.resolve({expression}).then(value => JSON.stringify(value))"), true)
            .unwrap()
            .value;
        let text = text.as_ref().and_then(Value::as_str).unwrap_or("null");
        serde_json::from_str(text).unwrap()
    }

    /// Waits for a condition to hold.
    pub fn until(&self, condition: &str) {
        let end = Instant::now() + LIMIT;
        while self.value(condition) != true {
            assert!(Instant::now() < end, "{condition} doesn't hold within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A cookie as Chromium keeps it for this page.
    pub fn kept_cookie(&self, name: &str) -> Option<Network::Cookie> {
        self.tab.get_cookies().unwrap().into_iter().find(|cookie| cookie.name == name)
    }

    /// What the visitor sees, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let format = PageDomain::CaptureScreenshotFormatOption::Png;
        self.tab.capture_screenshot(format, None, None, true).unwrap()
    }
}
