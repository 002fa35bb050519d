//! The table, for the eye and for docs/BENCH.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use local_server::VICEROY_VERSION;

use super::load::Sample;
use super::rows::Row;
use crate::{command, project};

/// A Markdown table of all rows.
pub fn table(rows: &[&Row], samples: &[Vec<Sample>]) -> String {
    let mut lines = vec![
        "| work | CPU a request | ratio | against | target | first byte p50 | p50 | p99 |".to_owned(),
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    for (row, taken) in rows.iter().zip(samples) {
        let base = rows.iter().position(|other| other.name == row.against).and_then(|index| samples.get(index));
        let ratios = base.map(|base| taken.iter().zip(base).map(|(own, base)| own.cpu_ms / base.cpu_ms).collect());
        let ratio = ratios.map_or_else(String::new, |ratios: Vec<f64>| {
            let [low, middle, high] = [25.0, 50.0, 75.0].map(|share| percentile(ratios.clone(), share));
            format!("{middle:.2} × ({low:.2}–{high:.2})")
        });
        let itself = row.name == row.against;
        let (ratio, against) = if itself { ("1".to_owned(), "") } else { (ratio, row.against) };
        let target = row.target.map_or_else(String::new, |target| format!("≤ {target:.1} ×"));
        let cpu = percentile(taken.iter().map(|sample| sample.cpu_ms).collect(), 50.0);
        let latency = |values: fn(&Sample) -> &Vec<f64>, rank| {
            format!("{:.2} ms", percentile(taken.iter().flat_map(values).copied().collect(), rank))
        };
        let first = latency(|sample| &sample.first_byte_ms, 50.0);
        let (p50, p99) = (latency(|sample| &sample.total_ms, 50.0), latency(|sample| &sample.total_ms, 99.0));
        let name = row.name;
        lines.push(format!("| {name} | {cpu:.3} ms | {ratio} | {against} | {target} | {first} | {p50} | {p99} |"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The sizes of both programs.
pub fn sizes(ours: &Path, bare: &Path) -> anyhow::Result<String> {
    let size = |file: &Path| fs::metadata(file).map(|data| data.len());
    let (ours, bare) = (size(ours)?, size(bare)?);
    let thousands = |bytes: u64| format!("{} kB", bytes / 1000);
    let (own, target, base) = (thousands(ours), thousands(project::WASM_LIMIT), thousands(bare));
    Ok(format!("`edge-personalizer.wasm` has {own} (target: below {target}), the bare pass-through {base}.\n"))
}

/// Writes docs/BENCH.md.
pub fn write(table: &str, sizes: &str, rounds: u32, requests: usize) -> anyhow::Result<PathBuf> {
    let machine = machine();
    let text = format!(
        "# What the edge costs

Written by `cargo xtask bench`. Each row is a ratio of CPU time between two services in the same run: ours, and a bare
pass-through (`benches/passthrough`: `request.send(\"origin\")` and nothing else, one request a sandbox). Absolute figures
are this machine's, the local server's own work included; on Fastly's network they differ, the ratios less so.

{table}
{sizes}
## How it is measured

* CPU a request: the local server's process (user and system time, all threads), read before and after each request.
  The load generator and the origin are another process.
* {requests} requests a round and row, one after the other on one connection, each sent when the
  process has come to rest, so that what a sandbox does after its answer is counted with its request.
* The local server gives a sandbox at most six requests; Fastly gives it many more. The decisions log (`cold`) tells which request
  of its sandbox each is. A row without a remark is the mean over these six places of the median request at each, each weighted by
  its requests, so that one of six is a sandbox's first; *warm* and *first request of a sandbox* are the same requests, those of
  these places alone. The bare service starts a sandbox for every request: the median of all.
* Medians leave out what another program on the machine fell upon, and with it what one sandbox in sixteen does once, after its
  first answer: it looks over rules that nobody checked, 64 at most, in some 0.1 ms for the demo's five routes.
* {rounds} rounds; every round drives every row, in an order of its own. Ratios are taken within a round; the median over the rounds is
  shown, and behind it the quartiles. p50 and p99 are over the row's requests of all rounds.

## The machine

{machine}"
    );
    let folder = project::root()?.join("docs");
    fs::create_dir_all(&folder)?;
    let file = folder.join("BENCH.md");
    fs::write(&file, text)?;
    Ok(file)
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    let model = model.map_or("an unnamed processor", |(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".to_owned());
    let rustc =
        command::output(Command::new("rustc").arg("--version")).unwrap_or_else(|| "an unknown rustc".to_owned());
    let kernel = kernel.trim();
    format!("{cores} cores of {model}; Linux {kernel}; {rustc}; Viceroy {VICEROY_VERSION}.\n")
}

/// The value below which that share (0 to 100) of the values lies, between its two neighbours where it falls between; 0 where there is none.
pub fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = values.len().saturating_sub(1) as f64 * share / 100.0;
    let at = |rank: f64| values.get(rank as usize).copied().unwrap_or(0.0);
    let (below, above) = (at(rank.floor()), at(rank.ceil()));
    below + (above - below) * rank.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_odd_number_of_rounds_is_the_median() {
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 50.0), 2.0);
        assert_eq!(percentile(vec![], 50.0), 0.0);
        assert_eq!(percentile(vec![4.0, 1.0, 2.0, 3.0], 50.0), 2.5);
    }

    #[test]
    fn every_row_is_compared_with_one_that_comes_no_later() {
        let rows = super::super::rows::ROWS;
        for (index, row) in rows.iter().enumerate() {
            assert!(rows[..=index].iter().any(|other| other.name == row.against), "{}", row.name);
        }
    }
}
