//! Programs that tests run beside the service: our own, and others that a machine may lack.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use local_server::process;

/// The variables by which `cargo xtask test` says where its build is.
pub(crate) const WASM: &str = "EDGE_WASM";
pub(crate) const VICEROY: &str = "EDGE_VICEROY";
const PERSONALIZER: &str = "EDGE_PERSONALIZER";

/// The command line, `personalizer`.
#[must_use]
pub fn personalizer() -> PathBuf {
    given(PERSONALIZER)
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors().nth(2).expect("the package lies in dev/ of the repository").to_path_buf()
}

/// A program on `PATH`. Where it is missing, `None`, and a line that says how to install it: the test has then shown nothing, and
/// returns.
///
/// # Panics
///
/// It is missing in CI, which installs it.
#[must_use]
pub fn installed(program: &str, debian_package: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // A user's `PATH` may lack the folder of servers.
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        let how = format!("{program} is missing (Debian: apt-get install {debian_package})");
        assert!(env::var_os("CI").is_none(), "{how}");
        // Past the test's own output, which is kept back where it passes.
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {how}");
    }
    found
}

pub(crate) fn given(variable: &str) -> PathBuf {
    let path = env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} isn't set: end-to-end tests run by `cargo xtask test`, or `cargo xtask test --only e2e`")
    });
    let path = PathBuf::from(path);
    assert!(path.is_file(), "{variable} names {}, which isn't a file", path.display());
    path
}

/// A program that ends with the test.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it; `prepare` gives it arguments and the like.
    #[must_use]
    pub fn start(program: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        let child = process::child(program, prepare);
        Self(child.unwrap_or_else(|error| panic!("can't start {}: {error}", program.display())))
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Asks again and again until there is an answer.
    ///
    /// # Panics
    ///
    /// The program has ended, or the time is over.
    pub fn wait_for<T>(&mut self, what: &str, limit: Duration, ask: impl Fn() -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = ask() {
                return found;
            }
            assert!(!self.has_ended(), "waiting for {what}: the program ended");
            assert!(Instant::now() < end, "no {what} within {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it ends by itself within a time.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.has_ended() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
