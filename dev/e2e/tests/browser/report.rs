//! The page that `personalizer report` writes, as people open it: from a folder, by day and by night, on a phone, on paper, read aloud.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::personalizer;
use headless_chrome::protocol::cdp::types::Method;
use headless_chrome::protocol::cdp::{Emulation, Page as PageDomain};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::chromium::{Chromium, Page};
use super::shop::{Shop, decisions};

/// WCAG's contrast for text.
const CONTRAST: f64 = 4.5;
/// Pixels of a small phone, and how small a letter may become on it.
const NARROW: u32 = 360;
const LEAST_LETTER: f64 = 8.0;

/// The least contrast of any text with what is behind it, and that text.
const LEAST_CONTRAST: &str = "(() => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = one => {
        for (; one; one = one.parentElement) {
            const colour = parts(getComputedStyle(one).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const own = one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    return [...document.querySelectorAll('main *')].filter(one => own(one) && one.getClientRects().length).map(one => {
        const style = getComputedStyle(one);
        const [text, back] = [light(parts(one.closest('svg') ? style.fill : style.color)), light(behind(one))];
        return [(Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05), one.textContent];
    }).sort((a, b) => a[0] - b[0])[0];
})()";

/// Texts that are cut: out of the window and in nothing that scrolls, out of their plot, or smaller than a letter may be.
const CUT: &str = "(() => {
    const own = one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    const out = (inner, outer) => inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
    return [...document.querySelectorAll('main *')].filter(one => own(one) && one.getClientRects().length).filter(one => {
        const box = one.getBoundingClientRect(), plot = one.closest('svg'), scrolls = one.closest('.wide');
        return (plot && out(box, plot.getBoundingClientRect())) || (!scrolls && (box.left < 0 || box.right > innerWidth + 1))
            || (scrolls && getComputedStyle(scrolls).overflowX !== 'auto') || box.height < LEAST
            || (!plot && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflow === 'hidden');
    }).map(one => one.textContent);
})()";

/// The page as a screen reader has it, as JSON: newer browsers know more words than the crate's types.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct ReadAloud {}

impl Method for ReadAloud {
    const NAME: &'static str = "Accessibility.getFullAXTree";
    type ReturnObject = Value;
}

/// A report of a shop with two experiments' worth of what there is to see, and with what must not run.
fn written(folder: &Path) -> String {
    let (mut lines, _) = Shop { visitors: 6_000, lift: 0.5, ..Shop::default() }.lines();
    lines.extend(decisions(2_000, 7));
    let hostile =
        "\\\"><img src=http://127.0.0.1:9/x onerror=document.title='hit'><script>document.title='hit'</script>";
    lines.push(lines[0].replace("\"FR\"", &format!("\"{hostile}\"")).replace("\"hero\"", &format!("\"{hostile}\"")));
    fs::write(folder.join("a.log"), lines.join("\n")).unwrap();
    let mut command = Command::new(personalizer());
    let arguments =
        ["report", "a.log", "--metric", "order:rate", "--metric", "order:value:0.99", "--out", "report.html"];
    let output = command.args(arguments).current_dir(folder).env_remove("PERSONALIZER_TARGET").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("file://{}", folder.join("report.html").display())
}

fn media(page: &Page, media: &str, scheme: &str) {
    let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
    page.call::<Emulation::SetEmulatedMedia>(json!({ "media": media, "features": features }));
}

fn assert_readable(page: &Page, how: &str) {
    let least = page.value(LEAST_CONTRAST);
    assert!(least[0].as_f64().unwrap() >= CONTRAST, "{how}: {least}");
}

#[test]
fn the_report_is_read_by_day_by_night_on_a_phone_on_paper_and_aloud() {
    let folder = TempDir::new().unwrap();
    let url = written(folder.path());
    let Some(chromium) = Chromium::start() else { return };
    let page = chromium.visitor();
    page.before_every_page(
        "window.blocked = []; addEventListener('securitypolicyviolation', of => blocked.push(of.blockedURI))",
    );
    page.open(&url);

    // One file that runs nothing and asks for nothing.
    assert_eq!(page.value("document.title"), "What the edge did");
    assert_eq!(page.value("performance.getEntriesByType('resource').map(of => of.name)"), json!([]));
    let foreign = "document.querySelectorAll('script, link, img, iframe, object, embed, form, base, [href], [src], [style]').length";
    assert_eq!(page.value(foreign), 0);
    let handlers = "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames()).filter(name => name.startsWith('on'))";
    assert_eq!((page.value(handlers), page.value("blocked")), (json!([]), json!([])));

    // Read aloud: every plot has a name and a description, every table a caption.
    let tree = page.call::<ReadAloud>(json!({}));
    let named = |role: &str| -> Vec<&str> {
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["role"]["value"] == role);
        nodes.map(|node| node["name"]["value"].as_str().unwrap_or_default()).collect()
    };
    let plots = page.value("document.querySelectorAll('svg').length").as_u64().unwrap();
    assert!(plots >= 5 && named("image").len() as u64 == plots, "{plots} plots, {:?}", named("image"));
    assert!(named("image").iter().all(|name| name.len() > 20), "{:?}", named("image"));
    assert!(!named("table").is_empty() && named("table").iter().all(|name| !name.is_empty()), "{:?}", named("table"));

    // By day, by night, on paper whatever the hour.
    let back = || page.value("getComputedStyle(document.body).backgroundColor");
    for (kind, scheme, expected) in [
        ("screen", "light", "rgb(255, 255, 255)"),
        ("screen", "dark", "rgb(20, 24, 31)"),
        ("print", "dark", "rgb(255, 255, 255)"),
    ] {
        media(&page, kind, scheme);
        assert_eq!(back(), expected, "{kind}, {scheme}");
        assert_readable(&page, &format!("{kind}, {scheme}"));
    }
    let paper = json!({ "printBackground": true, "paperWidth": 8.27, "paperHeight": 11.69 });
    let pdf = page.call::<PageDomain::PrintToPDF>(paper).data;
    // Base64 of %PDF.
    assert!(pdf.starts_with("JVBERi") && pdf.len() > 20_000, "{} characters", pdf.len());

    // On a phone: nothing is cut, and wide things scroll in themselves.
    media(&page, "screen", "light");
    page.screen(NARROW, 800, 2.0, true);
    page.reload();
    assert_eq!(page.value("innerWidth"), NARROW);
    assert_eq!(page.value("document.documentElement.scrollWidth"), NARROW, "the page itself doesn't scroll sideways");
    assert_eq!(page.value(&CUT.replace("LEAST", &LEAST_LETTER.to_string())), json!([]));
    assert_eq!(page.value("document.title"), Value::from("What the edge did"));
}
