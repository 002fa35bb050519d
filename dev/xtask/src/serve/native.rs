//! The local edge: `personalizer serve`, as a child that doesn't outlive us.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use demo_origin::DemoOrigin;
use local_server::client::{self, Request};
use local_server::process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Options, greeting, signals, stream};
use crate::{project, setup};

/// How long it may take to answer: it reads rules, and a busy machine needs seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end answers under way.
const END_LIMIT: Duration = Duration::from_secs(5);
/// What to click.
const BROWSER: &str =
    "  Accept the cookies, look at two products, put one into the cart, and go home: the page is yours.
  The strip at its end makes you somebody else: another country, device, language, visitor.
";
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(100);

/// Builds it and serves until Ctrl-C (or SIGTERM).
pub(super) fn run(options: &Options, address: SocketAddr, origin: DemoOrigin) -> anyhow::Result<ExitCode> {
    println!("Building the local edge. The first time takes a few minutes; cargo shows how far it is.");
    let program = setup::build_personalizer()?;
    let root = project::root()?;
    let stopped = signals()?;
    let child = process::child(&program, |command| {
        command.arg("serve").arg(root.join("rules")).arg("--manifest").arg(root.join("fastly.toml"));
        for backend in ["origin", "session_api"] {
            command.arg("--backend").arg(format!("{backend}={}", origin.url()));
        }
        command.arg("--port").arg(address.port().to_string()).current_dir(&root).stdin(Stdio::null());
        // Ctrl-C in a terminal reaches us alone, and we end it: a second signal would cut answers off.
        command.process_group(0);
        if options.quiet {
            command.arg("--quiet");
        }
        if options.watch {
            command.arg("--watch");
        }
        if let Some(file) = &options.log {
            command.arg("--log").arg(file);
        }
        if let Some(rate) = options.traffic {
            command.arg("--traffic").arg(rate.to_string());
        }
        if let Some(fault) = &options.fault {
            command.arg("--fault").arg(fault);
        }
    });
    let mut edge = Edge(child.with_context(|| format!("can't start {}", program.display()))?);
    if edge.is_up(address, &stopped)? {
        stream(address, &origin);
        println!("{}", greeting(address, &origin, BROWSER));
        edge.serve(&stopped)?;
    }
    println!("\nStopping.");
    edge.end();
    drop(origin);
    Ok(ExitCode::SUCCESS)
}

/// A running local edge.
struct Edge(Child);

impl Edge {
    /// Waits until it answers; `false` where we are told to stop before.
    fn is_up(&mut self, address: SocketAddr, stopped: &Receiver<()>) -> anyhow::Result<bool> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Ok(answer) = client::send(address.ip(), address, &Request::get("/.edge/health"))
                && answer.status == 200
            {
                return Ok(true);
            }
            if self.waits(stopped)? {
                return Ok(false);
            }
            if Instant::now() > end {
                bail!("the local edge didn't answer within {START_LIMIT:?}");
            }
        }
    }

    fn serve(&mut self, stopped: &Receiver<()>) -> anyhow::Result<()> {
        while !self.waits(stopped)? {}
        Ok(())
    }

    /// Waits a little; `true` where we are told to stop.
    fn waits(&mut self, stopped: &Receiver<()>) -> anyhow::Result<bool> {
        match stopped.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(true),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let Some(status) = self.0.try_wait()? else { return Ok(false) };
        bail!("the local edge stopped ({status}); above it says why")
    }

    /// Asks it to end, and waits for that a while.
    fn end(&mut self) {
        if let Ok(id) = i32::try_from(self.0.id()) {
            // It may have ended in between.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let end = Instant::now() + END_LIMIT;
        while Instant::now() < end {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
