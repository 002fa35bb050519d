//! Varnish as a plain shared cache: it keeps what `Cache-Control` lets it keep, by URL and `Vary`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use local_server::client::{self, Answer, Request};
use local_server::visitors::NOWHERE;
use tempfile::TempDir;

use crate::programs::{Running, installed};

/// How long it may take to compile its configuration and to listen; a busy machine needs many seconds.
const LIMIT: Duration = Duration::from_secs(90);
/// What a visitor may be known by is no reason to pass the cache, as it would be in Varnish's own configuration: a plain cache looks at
/// the answer alone (RFC 9111 section 3).
const CONFIGURATION: &str = r#"vcl 4.1;
backend default { .host = "HOST"; .port = "PORT"; }
sub vcl_recv {
    if (req.method != "GET" && req.method != "HEAD") { return (pass); }
    if (req.http.Authorization) { return (pass); }
    return (hash);
}
sub vcl_backend_response {
    if (UNSHAREABLE) {
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
    }
    return (deliver);
}
sub vcl_deliver {
    set resp.http.X-Hits = obj.hits;
}
"#;

/// What a plain cache keeps for nobody.
const UNSHAREABLE: &str = r#"beresp.http.Cache-Control ~ "(?i)(private|no-store|no-cache)" || beresp.http.Set-Cookie || beresp.http.Vary == "*""#;

/// A running Varnish; dropping it kills it.
#[derive(Debug)]
pub struct Varnish {
    address: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

impl Varnish {
    /// Starts one in front of an edge; `None` where it is not installed.
    #[must_use]
    pub fn before(edge: SocketAddr) -> Option<Self> {
        Self::start(edge, UNSHAREABLE)
    }

    /// Starts one that keeps everything for everybody, whatever the edge says: what a search for leaks must find.
    #[must_use]
    pub fn careless(edge: SocketAddr) -> Option<Self> {
        Self::start(edge, "false")
    }

    fn start(edge: SocketAddr, unshareable: &str) -> Option<Self> {
        let program = installed("varnishd", "varnish")?;
        let folder = TempDir::new().unwrap();
        open_to_all(folder.path());
        let configuration = folder.path().join("shared.vcl");
        let text = CONFIGURATION.replace("HOST", &edge.ip().to_string()).replace("PORT", &edge.port().to_string());
        let text = text.replace("UNSHAREABLE", unshareable);
        fs::write(&configuration, text).unwrap();
        let address = local_server::free_address().unwrap();
        let said = fs::File::create(folder.path().join("said")).unwrap();
        let mut running = Running::start(&program, |command| {
            // In the foreground, without jail and shared memory of the system's size: all it leaves is in the folder.
            command.args(["-F", "-j", "none", "-s", "malloc,32m", "-l", "1m", "-T", "none", "-n"]);
            command.arg(folder.path().join("work")).arg("-f").arg(&configuration).arg("-a").arg(address.to_string());
            command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        });
        running.wait_for("Varnish", LIMIT, || {
            client::send(NOWHERE.address, address, &Request::get("/.edge/health"))
                .ok()
                .filter(|answer| answer.status == 200)
        });
        Some(Self { address, _running: running, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks through it.
    ///
    /// # Panics
    ///
    /// There is no answer.
    #[must_use]
    pub fn send(&self, request: &Request) -> Answer {
        client::send(NOWHERE.address, self.address, request).unwrap()
    }
}

/// Whether an answer came out of the cache.
#[must_use]
pub fn is_hit(answer: &Answer) -> bool {
    answer.header("x-hits").is_some_and(|hits| hits != "0")
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
