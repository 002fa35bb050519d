//! The local server as a child that can't outlive us.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::logs::Logs;

/// How long the local server may take to compile the wasm and to listen; a busy machine needs many seconds.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Viceroy says this on stdout when it listens, at this level alone.
const LISTENING: &str = "Listening on http://";
const LISTENING_FILTER: &str = "viceroy_lib::service=info";

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The `viceroy` program.
    pub viceroy: &'a Path,
    /// The service.
    pub wasm: &'a Path,
    /// Its manifest.
    pub manifest: &'a Path,
    /// The folder that file paths of the manifest start from.
    pub folder: &'a Path,
    /// Where to listen.
    pub address: SocketAddr,
    /// Gets every line that the local server prints.
    pub shown: fn(&str),
}

/// A running local server; dropping it kills it.
#[derive(Debug)]
pub struct LocalServer {
    child: Child,
    address: SocketAddr,
    logs: Logs,
}

impl LocalServer {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    ///
    /// The program can't be started, stops (the port is taken, the manifest is wrong: the error carries what it said),
    /// or doesn't listen in time.
    pub fn start(launch: Launch<'_>) -> anyhow::Result<Self> {
        let child = child(launch.viceroy, |command| {
            command
                .arg("--config")
                .arg(launch.manifest)
                .arg("--addr")
                .arg(launch.address.to_string())
                .arg(launch.wasm)
                .current_dir(launch.folder)
                .env("RUST_LOG", LISTENING_FILTER)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        });
        let child = child.with_context(|| format!("can't start {}", launch.viceroy.display()))?;
        let mut server = Self { child, address: launch.address, logs: Logs::default() };
        if let Some(stdout) = server.child.stdout.take() {
            server.logs.follow(stdout, launch.shown);
        }
        if let Some(stderr) = server.child.stderr.take() {
            server.logs.follow(stderr, launch.shown);
        }
        server.wait_until_listening()?;
        Ok(server)
    }

    fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + START_LIMIT;
        let says_so = |line: &str| line.contains(LISTENING).then_some(());
        while self.logs.wait_line(0, Duration::from_millis(50), says_so).is_none() {
            if let Some(status) = self.child.try_wait()? {
                // The last words may still be in the pipe.
                std::thread::sleep(Duration::from_millis(100));
                bail!("the local server stopped ({status}) and said:\n{}", self.logs.all().join("\n"));
            }
            if Instant::now() > end {
                bail!(
                    "the local server didn't listen within {START_LIMIT:?}; it said:\n{}",
                    self.logs.all().join("\n")
                );
            }
        }
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Whether it has stopped by itself.
    #[must_use]
    pub fn has_stopped(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        // It may have stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program that the kernel kills when we end, however we end; `prepare` gives it arguments and the like. Whoever holds the
/// child kills it on drop all the same.
///
/// # Errors
///
/// It can't be started.
pub fn child(program: &Path, prepare: impl FnOnce(&mut Command)) -> io::Result<Child> {
    let mut command = dying_with_us(program);
    prepare(&mut command);
    spawn(command)
}

/// A command for a child that the kernel kills when we end, however we end: `setpriv` (util-linux) asks for it. Where
/// there is no `setpriv`, the child is killed on drop only. Start it by [`spawn`].
#[must_use]
pub fn dying_with_us(program: &Path) -> Command {
    static SETPRIV: OnceLock<bool> = OnceLock::new();
    let works = *SETPRIV.get_or_init(|| {
        let mut probe = Command::new("setpriv");
        probe.args(["--pdeathsig", "KILL", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    if !works {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(OsString::from(program));
    command
}

/// An order to start a child, with where the child goes.
type Order = (Command, Sender<io::Result<Child>>);

/// Starts a child from a thread that lives as long as the process: the kernel counts the *thread* that started a child
/// as its parent, and the thread of a test ends with the test.
///
/// # Errors
///
/// The program can't be started.
pub fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                // Nobody waits any more only where the waiting thread has panicked.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (sender, receiver) = mpsc::channel();
    let gone = || io::Error::other("the starting thread is gone");
    orders.lock().unwrap_or_else(PoisonError::into_inner).send((command, sender)).map_err(|_| gone())?;
    receiver.recv().map_err(|_| gone())?
}
