//! OpenFeature's own providers ask the local edge for flags: npm's for browsers and for servers, and Python's. GrowthBook's own bundle takes
//! over what a page of the edge hands it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::json;

use crate::command::{cargo, run};
use crate::test::Outcome;
use crate::{npm, project, setup, venv};

/// The providers of npm. Their SDKs come with them.
const WEB: [&str; 2] = ["@openfeature/ofrep-web-provider", "0.4.3"];
const SERVER: [&str; 2] = ["@openfeature/ofrep-provider", "0.1.3"];
/// GrowthBook's SDK, and the bundle in it.
const GROWTHBOOK: [&str; 2] = ["@growthbook/growthbook", "1.8.0"];
const BUNDLE: &str = "dist/bundles/auto.min.js";
/// The end-to-end test that opens pages with it.
const BROWSER: &str = "growthbooks_bundle_and_the_edge_agree";
/// The provider of PyPI.
const PYTHON: &str = "openfeature-provider-ofrep==0.3.0";
/// What the scripts are run with.
const NODE_SCRIPT: &str = include_str!("flags.cjs");
const PYTHON_SCRIPT: &str = include_str!("flags.py");
/// What servers show.
const KEY: &str = "a-key-of-servers-that-is-for-tests-only";

/// The local edge, until it is dropped.
struct Edge {
    process: Child,
    url: String,
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The step of `cargo xtask test`. Without npm or Python it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    let web = npm::install(WEB[0], WEB[1])?;
    let server = npm::install(SERVER[0], SERVER[1])?;
    let growthbook = npm::install(GROWTHBOOK[0], GROWTHBOOK[1])?;
    let python = venv::install("openfeature", &[&[PYTHON]])?;
    let (web, server, growthbook, python) = match (web, server, growthbook, python) {
        (Ok(web), Ok(server), Ok(growthbook), Ok(python)) => (web, server, growthbook, python),
        (Err(why), ..) | (_, Err(why), ..) | (_, _, Err(why), _) | (.., Err(why)) => {
            return Ok(Outcome::Skipped(format!("NOT TESTED: {why}")));
        }
    };
    let edge = start()?;
    let folder = project::tools()?.join("flags");
    let scripts = [("flags.cjs", NODE_SCRIPT), ("flags.py", PYTHON_SCRIPT)];
    for (name, text) in scripts {
        fs::write(folder.join(name), text)?;
    }
    let with = |program: &mut Command| {
        program.env("EDGE", &edge.url).env("KEY", KEY).env("WEB", &web).env("SERVER", &server);
        run(program)
    };
    with(Command::new("node").arg(folder.join("flags.cjs")))?;
    with(Command::new(python).arg(folder.join("flags.py")))?;
    let mut browser = cargo(&["test", "--package", "e2e", "--test", "browser", "--", BROWSER, "--nocapture"])?;
    browser.env("EDGE_PERSONALIZER", setup::build_personalizer()?);
    run(browser.env("EDGE_GROWTHBOOK", growthbook.join(GROWTHBOOK[0]).join(BUNDLE)))?;
    Ok(Outcome::Passed)
}

/// Starts the local edge with a few features, for visitors in California.
fn start() -> anyhow::Result<Edge> {
    let folder = project::tools()?.join("flags");
    let (rules, secrets) = (folder.join("rules"), folder.join("secrets"));
    fs::create_dir_all(&rules)?;
    fs::create_dir_all(&secrets)?;
    fs::write(secrets.join("ofrep"), KEY)?;
    fs::write(rules.join("settings.json"), json!({ "ofrep": { "context": ["plan"] } }).to_string())?;
    let features = json!({
        "place": { "defaultValue": "elsewhere", "rules": [{ "condition": { "country": "US" }, "force": "states" }] },
        "plan": { "defaultValue": "free", "rules": [{ "condition": { "plan": "pro" }, "force": "paid" }] },
        "banner": { "defaultValue": false, "rules": [{ "key": "banner", "variations": [false, true], "hashVersion": 2 }] },
        "price": { "defaultValue": 9.5 },
        "look": { "defaultValue": { "color": "red" } },
        "unset": { "defaultValue": null },
    });
    fs::write(rules.join("features.json"), json!({ "features": features }).to_string())?;
    let arguments =
        ["run", "--quiet", "--package", "personalizer", "--", "serve", "--port", "0", "--quiet", "--country", "US-CA"];
    let mut command = cargo(&arguments)?;
    command.arg(&rules).args(["--origin", "http://127.0.0.1:9", "--secrets"]).arg(&secrets);
    let mut process = command.stderr(Stdio::piped()).spawn().context("the local edge can't be started")?;
    let words = process.stderr.take().context("the local edge says nothing")?;
    let mut edge = Edge { process, url: String::new() };
    let mut lines = BufReader::new(words).lines().map_while(Result::ok);
    let url = lines.find_map(|line| {
        println!("{line}");
        let url = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"))?;
        Some(url.trim_end_matches('/').to_owned())
    });
    edge.url = url.context("expected the local edge to say where it listens, but found that it ended")?;
    // Who says something to a pipe that nobody reads is ended.
    std::thread::spawn(move || lines.for_each(|line| println!("{line}")));
    Ok(edge)
}
