//! Programs that some tests need and not every machine has.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use local_server::process::{dying_with_us, spawn};

/// A program and the package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Names it goes by, the preferred one first.
    pub names: &'static [&'static str],
    /// The variable that names its file where it isn't on `PATH`.
    pub variable: &'static str,
    /// How it is installed.
    pub install: &'static str,
}

/// A browser that speaks the Chrome DevTools Protocol.
pub const CHROMIUM: Program = Program {
    names: &["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"],
    variable: "EDGE_CHROMIUM",
    install: "Debian: apt-get install chromium; elsewhere Google Chrome does as well",
};

/// A shared HTTP cache.
pub const VARNISH: Program =
    Program { names: &["varnishd"], variable: "EDGE_VARNISHD", install: "Debian: apt-get install varnish" };

impl Program {
    /// Its file. `/usr/sbin` is looked into as well: a user's `PATH` may lack it.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        let chosen = env::var_os(self.variable).map(PathBuf::from).filter(|file| file.is_file());
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).collect();
        let mut files = self.names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        chosen.or_else(|| files.find(|file| file.is_file()))
    }

    /// What to say where it is missing.
    #[must_use]
    pub fn missing(&self) -> String {
        let name = self.names.first().copied().unwrap_or_default();
        format!("{name} is missing ({}; or {} names its file)", self.install, self.variable)
    }

    /// Its file.
    ///
    /// # Panics
    ///
    /// It is missing: the message says how to install it. `cargo xtask test` leaves out the tests that need it and says so; in CI they
    /// fail.
    #[must_use]
    pub fn get(&self) -> PathBuf {
        self.find().unwrap_or_else(|| panic!("{}", self.missing()))
    }

    /// A command that starts it, for [`Running::start`].
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[must_use]
    pub fn command(&self) -> Command {
        dying_with_us(&self.get())
    }
}

/// A program that was started for a test; dropping it kills it.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts a command of [`Program::command`].
    ///
    /// # Errors
    ///
    /// It can't be started.
    pub fn start(command: Command) -> io::Result<Self> {
        spawn(command).map(Self)
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
            let ended = self.0.try_wait().unwrap();
            assert!(ended.is_none(), "waiting for {what}: the program ended ({ended:?})");
            assert!(Instant::now() < end, "no {what} within {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it has ended by itself within a time.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if !matches!(self.0.try_wait(), Ok(None)) {
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
