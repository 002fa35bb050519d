//! `cargo xtask bots`: the patterns of npm's `isbot`, kept as data of the service, and how good they are.

mod pattern;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Args;
use edge_personalizer::context::device::is_bot;
use edge_personalizer::rules::settings::bots::BotSettings;
use serde_json::Value;

use crate::command::{find, run as execute};
use crate::project;
use crate::test::Outcome;

/// Where the patterns come from, and the User-Agents that they are measured with: real crawlers', real browsers'.
const PACKAGES: [&str; 3] = ["isbot", "crawler-user-agents", "user-agents"];
/// Of crawlers' User-Agents, the share that has to be known.
const LEAST_KNOWN: f64 = 0.99;

/// Fetch the newest list of crawlers from npm, keep it as data of the service, and report what it knows.
#[derive(Debug, Args)]
pub struct Options {
    /// Take the versions that the data names, and change nothing.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let npm = npm().context(NO_NPM)?;
    let kept = fs::read_to_string(data_file()?)?;
    let versions = if options.check { versions_of(&kept)? } else { vec!["latest".to_owned(); PACKAGES.len()] };
    let modules = install(&npm, &versions)?;
    let written = generate(&modules)?;
    if options.check {
        ensure!(written == kept, "{} isn't what `cargo xtask bots` writes", data_file()?.display());
        measure(&modules)?;
    } else if written != kept {
        fs::write(data_file()?, written)?;
        println!("{} is new: run `cargo xtask bots --check` for its figures, and the tests.", data_file()?.display());
    } else {
        println!("{} is the newest.", data_file()?.display());
        measure(&modules)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The step of `cargo xtask test`. Without npm it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    if npm().is_none() {
        ensure!(env::var_os("CI").is_none(), "{NO_NPM}");
        return Ok(Outcome::Skipped(format!("NOT TESTED: {NO_NPM}")));
    }
    run(&Options { check: true })?;
    Ok(Outcome::Passed)
}

const NO_NPM: &str = "npm is missing, and the lists of crawlers and browsers come by npm (Debian: apt-get install npm; \
     elsewhere: https://nodejs.org)";

fn npm() -> Option<PathBuf> {
    find("npm")
}

fn data_file() -> anyhow::Result<PathBuf> {
    Ok(project::root()?.join("src/context/device/bots/data.rs"))
}

/// The versions that the data names, in the order of [`PACKAGES`].
fn versions_of(data: &str) -> anyhow::Result<Vec<String>> {
    let named = |package: &str| {
        let mut words = data.split('`').filter_map(|word| word.split_once('@'));
        let version = words.find(|(name, _)| *name == package).map(|(_, version)| version.to_owned());
        version.with_context(|| format!("the data names no `{package}@…`"))
    };
    PACKAGES.into_iter().map(named).collect()
}

/// Has npm put the packages into a folder of ours; gives the folder `node_modules`.
fn install(npm: &Path, versions: &[String]) -> anyhow::Result<PathBuf> {
    let folder = project::tools()?.join("bots");
    fs::create_dir_all(&folder)?;
    let mut install = Command::new(npm);
    install.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder);
    install.args(PACKAGES.iter().zip(versions).map(|(package, version)| format!("{package}@{version}")));
    execute(&mut install)?;
    Ok(folder.join("node_modules"))
}

fn read(modules: &Path, file: &str) -> anyhow::Result<String> {
    let file = modules.join(file);
    fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))
}

/// Name, version and licence of an installed package.
fn package(modules: &Path, name: &str) -> anyhow::Result<(String, String)> {
    let package: Value = serde_json::from_str(&read(modules, &format!("{name}/package.json"))?)?;
    let text = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    let version = text("version").with_context(|| format!("{name} has no version"))?;
    Ok((version, text("license").with_context(|| format!("{name} has no licence"))?))
}

/// The data file, as Rust.
fn generate(modules: &Path) -> anyhow::Result<String> {
    let source = read(modules, "isbot/index.mjs")?;
    let list =
        source.split_once("var patterns_default = ").and_then(|(_, rest)| rest.split_once("];")).map(|(list, _)| list);
    let patterns: Vec<String> =
        serde_json::from_str(&format!("{}]", list.context("isbot/index.mjs has no list of patterns")?))?;
    let (mut at_start, mut anywhere, mut by_first) =
        (String::new(), String::new(), BTreeMap::<u8, (u128, String)>::new());
    for text in &patterns {
        // A pattern that this can't say is no reason to do without the others, but somebody has to look.
        let parsed = pattern::parse(text)
            .with_context(|| format!("can't use the pattern `{text}`: teach dev/xtask/src/bots/pattern.rs"))?;
        let line = |parsed: &pattern::Pattern| format!("    {parsed}, // {}\n", text.replace('\n', " "));
        match (parsed.at_start, parsed.text.bytes().next()) {
            (true, _) => at_start.push_str(&line(&parsed)),
            (false, Some(first)) => {
                let (seconds, lines) = by_first.entry(first).or_default();
                *seconds |= parsed.text.as_bytes().get(1).map_or(u128::MAX, |second| 1 << second);
                lines.push_str(&line(&parsed));
            }
            (false, None) => anywhere.push_str(&line(&parsed)),
        }
    }
    let versions = PACKAGES.iter().map(|name| package(modules, name)).collect::<anyhow::Result<Vec<_>>>()?;
    let [(isbot, licence), (crawlers, _), (browsers, _)] = versions.as_slice() else { bail!("three packages") };
    let mut out = format!(
        "//! Written by `cargo xtask bots`; edits are lost.\n\
         //!\n\
         //! The {} patterns of npm `isbot@{isbot}` (licence: {licence}, <https://isbot.js.org>), each beside its own spelling. Measured\n\
         //! with npm `crawler-user-agents@{crawlers}` and `user-agents@{browsers}`, which are not part of the service.\n\n\
         #[allow(unused_imports, reason = \"not every list needs every step\")]\n\
         use super::Step::{{Behind, Edge, End, Group, NotAhead, NotBehind, Run, Start, Text}};\n\
         use super::{{Bucket, Pattern, Set}};\n\n\
         /// Patterns that hold at the beginning alone.\n\
         pub(super) static AT_START: &[Pattern] = &[\n{at_start}];\n\n\
         /// Patterns that begin with no certain byte.\n\
         pub(super) static ANYWHERE: &[Pattern] = &[\n{anywhere}];\n\n\
         /// The others, by their first byte.\n\
         pub(super) static BY_FIRST: [Bucket; 128] = [\n",
        patterns.len()
    );
    for byte in 0..128u8 {
        match by_first.get(&byte) {
            Some((seconds, lines)) => {
                write!(out, "    Bucket {{ seconds: {seconds:#x}, patterns: &[\n{lines}    ] }},\n")?
            }
            None => out.push_str("    Bucket { seconds: 0, patterns: &[] },\n"),
        }
    }
    out.push_str("];\n");
    Ok(out)
}

/// Says how many crawlers are known and how many browsers are mistaken; an error where that is not good enough.
fn measure(modules: &Path) -> anyhow::Result<()> {
    let none = BotSettings::default();
    let crawlers: Vec<Value> = serde_json::from_str(&read(modules, "crawler-user-agents/crawler-user-agents.json")?)?;
    let instances =
        crawlers.iter().filter_map(|crawler| crawler.get("instances")?.as_array()).flatten().filter_map(Value::as_str);
    let instances: Vec<_> = instances.collect();
    let unknown: Vec<_> = instances.iter().filter(|agent| !is_bot(agent, &none)).collect();
    let browsers: Vec<Value> = serde_json::from_str(&read(modules, "user-agents/dist/user-agents.json")?)?;
    let agents: Vec<_> = browsers.iter().filter_map(|browser| browser.get("userAgent")?.as_str()).collect();
    let mistaken: Vec<_> = agents.iter().filter(|agent| is_bot(agent, &none)).collect();
    let known = instances.len() - unknown.len();
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let share = known as f64 / instances.len() as f64;
    for agent in &unknown {
        println!("unknown crawler: {agent}");
    }
    for agent in &mistaken {
        println!("mistaken browser: {agent}");
    }
    println!(
        "Known: {known} of {} crawlers ({:.2} %). Mistaken: {} of {} browsers.",
        instances.len(),
        share * 100.0,
        mistaken.len(),
        agents.len()
    );
    ensure!(instances.len() >= 2000 && agents.len() >= 2000, "expected some thousand User-Agents of each kind");
    ensure!(share >= LEAST_KNOWN, "expected {} % of the crawlers to be known", LEAST_KNOWN * 100.0);
    ensure!(mistaken.is_empty(), "expected no browser to be taken for a bot");
    Ok(())
}
