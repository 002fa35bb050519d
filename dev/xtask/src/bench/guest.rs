//! The service's own part of the CPU: what a customer is billed for.
//!
//! `perf` looks, some thousand times a second of CPU, where the local server's process is. Compiled WebAssembly lies in memory that belongs
//! to no file, and `perf` says so; all else is the server, the C library and the kernel.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{command, project};

/// Looks a second.
const FREQUENCY: &str = "2999";
/// Where the look-ups of `perf` go.
const FILE: &str = "bench/perf.data";
/// What `perf` calls memory that belongs to no file.
const COMPILED: [&str; 3] = ["[JIT]", "[unknown]", "//anon"];

/// Whether there is no `perf`, or it may not look.
pub fn is_missing() -> bool {
    command::output(Command::new("perf").args(["stat", "-e", "cpu-clock", "true"])).is_none()
}

/// Looks at a process until it is asked.
pub struct Watch(Option<(Child, PathBuf)>);

impl Watch {
    /// Starts to look; without `perf`, nobody does.
    pub fn start(process: u32) -> anyhow::Result<Self> {
        let file = project::target()?.join(FILE);
        let mut perf = Command::new("perf");
        perf.args(["record", "--quiet", "--event", "cpu-clock", "--freq", FREQUENCY, "--pid", &process.to_string()]);
        perf.arg("--output").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(perf.spawn().ok().map(|perf| (perf, file))))
    }

    /// The share of the CPU that the service's own code took, 0 to 1.
    pub fn guest_share(self) -> Option<f64> {
        let (mut perf, file) = self.0?;
        // It writes what it has on this signal; one that comes before it listens may be lost.
        let process = Pid::from_raw(i32::try_from(perf.id()).ok()?);
        while perf.try_wait().ok()?.is_none() {
            kill(process, Signal::SIGINT).ok()?;
            sleep(Duration::from_millis(100));
        }
        let mut report = Command::new("perf");
        report.args(["report", "--stdio", "--quiet", "--sort", "dso", "--input"]).arg(&file);
        share_of(&command::output(&mut report)?)
    }
}

/// The share of compiled WebAssembly in a report by object.
fn share_of(report: &str) -> Option<f64> {
    let rows = report.lines().filter_map(|line| {
        let (percent, object) = line.trim().split_once('%')?;
        Some((percent.parse::<f64>().ok()?, object.trim()))
    });
    let (mut guest, mut all) = (0.0, 0.0);
    for (percent, object) in rows {
        all += percent;
        guest += if COMPILED.iter().any(|name| object.starts_with(name)) { percent } else { 0.0 };
    }
    (all > 0.0).then(|| guest / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_code_is_told_from_files() {
        let report =
            "    29.26%  [kernel.kallsyms]\n    25.84%  libc.so.6\n    24.90%  viceroy\n    20.00%  [JIT] tid 6031\n";
        assert!(share_of(report).is_some_and(|share| (share - 0.2).abs() < 0.001));
        assert_eq!(share_of("# nothing\n"), None);
    }
}
