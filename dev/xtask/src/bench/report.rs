//! The table, for the eye and for docs/BENCH.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use local_server::VICEROY_VERSION;

use super::load::{Busy, Sample};
use super::rows::Row;
use crate::{command, project};

/// A Markdown table of all rows.
pub fn table(rows: &[&Row], samples: &[Vec<Sample>], busy: &[Vec<Busy>]) -> String {
    let mut lines = vec![
        "| work | against | under load | target | guest CPU | target | a million requests | alone | target | first byte p50 | p50 | p99 |"
            .to_owned(),
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    for ((row, taken), loads) in rows.iter().zip(samples).zip(busy) {
        if taken.is_empty() {
            lines.push(format!("| {} | {} | not run: npm is missing |{}", row.name, row.against, " |".repeat(9)));
            continue;
        }
        let base = rows.iter().position(|other| other.name == row.against);
        let cpu = |of: &[Sample]| -> Vec<f64> { of.iter().map(|sample| sample.cpu_ms).collect() };
        let cpu_busy = |of: &[Busy]| -> Vec<f64> { of.iter().map(|load| load.cpu_ms).collect() };
        let alone_base = base.and_then(|index| samples.get(index)).map(|base| cpu(base));
        let busy_base = base.and_then(|index| busy.get(index)).map(|base| cpu_busy(base));
        let against = if row.name == row.against { "" } else { row.against };
        let alone = cost(&cpu(taken), alone_base.filter(|_| !against.is_empty()).as_deref());
        let under_load = cost(&cpu_busy(loads), busy_base.filter(|_| !against.is_empty()).as_deref());
        let guests: Vec<f64> = loads.iter().filter_map(|load| load.guest_us).collect();
        let guest = (!guests.is_empty()).then(|| percentile(guests, 50.0));
        let (guest, price) = guest.map_or_else(Default::default, |guest| {
            (format!("{guest:.0} µs"), format!("${:.2}", PER_MILLION_REQUESTS + guest / 1000.0 * PER_MILLION_VCPU_MS))
        });
        let most = |target: Option<f64>, unit: &str, digits: usize| {
            target.map_or_else(String::new, |target| format!("≤ {target:.digits$} {unit}"))
        };
        let targets = [most(row.busy_target, "×", 2), most(row.guest_target, "µs", 0), most(row.target, "×", 2)];
        let [busy_target, guest_target, alone_target] = targets;
        let latency = |values: fn(&Sample) -> &Vec<f64>, rank| {
            format!("{:.2} ms", percentile(taken.iter().flat_map(values).copied().collect(), rank))
        };
        let first = latency(|sample| &sample.first_byte_ms, 50.0);
        let (p50, p99) = (latency(|sample| &sample.total_ms, 50.0), latency(|sample| &sample.total_ms, 99.0));
        let name = row.name;
        lines.push(format!(
            "| {name} | {against} | {under_load} | {busy_target} | {guest} | {guest_target} | {price} | {alone} | {alone_target} \
             | {first} | {p50} | {p99} |"
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Fastly's published price of Compute, in US dollars: a million requests, and a million milliseconds of vCPU (Fastly, "Pricing").
const PER_MILLION_REQUESTS: f64 = 0.50;
const PER_MILLION_VCPU_MS: f64 = 0.05;

/// Milliseconds a request, and their ratio to another row's of the same rounds.
fn cost(own: &[f64], base: Option<&[f64]>) -> String {
    if own.is_empty() {
        return String::new();
    }
    let cpu = percentile(own.to_vec(), 50.0);
    let Some(base) = base else { return format!("{cpu:.3} ms") };
    let ratios: Vec<f64> = own.iter().zip(base).map(|(own, base)| own / base).collect();
    if ratios.is_empty() {
        return format!("{cpu:.3} ms");
    }
    let [low, middle, high] = [25.0, 50.0, 75.0].map(|share| percentile(ratios.clone(), share));
    format!("{cpu:.3} ms, {middle:.2} × ({low:.2}–{high:.2})")
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
pub fn write(
    table: &str,
    sizes: &str,
    cold: &str,
    rounds: u32,
    [requests, busy]: [usize; 2],
) -> anyhow::Result<PathBuf> {
    let machine = machine();
    let text = format!(
        "# What the edge costs

Written by `cargo xtask bench`. Each row is a ratio of CPU time between two services in the same run: ours, and a bare
pass-through (`benches/passthrough`: `request.send(\"origin\")` and nothing else, one request a sandbox). Absolute figures
are this machine's, the local server's own work included; on Fastly's network they differ, the ratios less so.

{table}
{sizes}
## Cold starts, by part

What the table's rows of first requests cost more than the same rows warm, one request at a time. The local server starts a sandbox for each of
them; the bare pass-through's start is in every row, and ours is larger by its size.

{cold}
## How it is measured

* CPU a request: the local server's process (user and system time, all threads). The load generator and the origin are another
  process.
* **Under load**: {busy} requests a round and row on two connections, each sent as soon as the answer before it is there. Both cores are
  busy, and the server never rests: what a busy site pays. The process's CPU is read before and after all of them; one of six
  requests is the first of its sandbox.
* **Guest CPU**: the part of that CPU which `perf` finds in compiled WebAssembly: the service's own code. Fastly bills this, and no
  server's. *A million requests* is its published price: $0.50 for them, and $0.05 for a million milliseconds.
* **Alone**: {requests} requests a round and row, one after the other on one connection, each sent when the process has come to rest. The
  process's CPU is read before and after each request, so that what a sandbox does after its answer is counted with its request. Waking up is
  most of such a request's cost, and hides what a service adds: ratios are small. It tells warm requests from first ones.
* The local server gives a sandbox at most six requests; Fastly gives it many more. The decisions log (`cold`) tells which request
  of its sandbox each is. A row without a remark is the mean over these six places of the median request at each, each weighted by
  its requests, so that one of six is a sandbox's first; *warm* and *first request of a sandbox* are the same requests, those of
  these places alone. The bare service starts a sandbox for every request: the median of all.
* **JavaScript** (`benches/peer-js`, optional: it comes by npm) has GrowthBook's official SDK on Fastly's. It decides the same three features of
  the same hundred, and rewrites no path. Its own default is a sandbox for each request.
* **Rust** (`benches/peer-rust`) has Eppo's evaluator in a bare service, a sandbox for many requests. It decides three flags of a hundred of the
  same three kinds, reads the visitor's place, and rewrites no path. GrowthBook's official crate for Rust doesn't compile to WebAssembly.
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

/// Processor, system and programs, in a line.
pub fn machine() -> String {
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
    #![allow(clippy::expect_used, reason = "a test may stop at a surprise")]

    use super::super::rows;
    use super::*;

    #[test]
    fn the_middle_of_an_odd_number_of_rounds_is_the_median() {
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 50.0), 2.0);
        assert_eq!(percentile(vec![], 50.0), 0.0);
        assert_eq!(percentile(vec![4.0, 1.0, 2.0, 3.0], 50.0), 2.5);
    }

    #[test]
    fn a_row_that_was_not_run_says_so() {
        let row = rows::ROWS.iter().find(|row| row.needs_npm()).expect("there are peers");
        let table = table(&[row], &[Vec::new()], &[Vec::new()]);
        let last = table.trim_end().lines().last().unwrap_or_default().to_owned();
        assert!(last.contains("| not run: npm is missing |"), "{last}");
        assert_eq!(last.matches('|').count(), 13, "{last}");
    }

    #[test]
    fn every_row_is_compared_with_one_that_comes_no_later() {
        let rows = rows::ROWS;
        for (index, row) in rows.iter().enumerate() {
            assert!(rows[..=index].iter().any(|other| other.name == row.against), "{}", row.name);
        }
    }
}
