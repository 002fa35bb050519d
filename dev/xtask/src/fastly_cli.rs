//! Fastly's own CLI on our `fastly.toml`: it builds, validates and serves the service, and leaves the file as it was.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use demo_origin::{DEFAULT_PORT, DemoOrigin};
use local_server::client::{self, Request};
use local_server::visitors::PARIS;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{self, run};
use crate::test::Outcome;
use crate::{npm, project, serve, setup, viceroy};

/// The package and the version that everything here was tried with.
const PACKAGE: &str = "@fastly/cli";
const VERSION: &str = "16.1.0";
/// How long `compute serve` may take to answer, and to end.
const SERVE_LIMIT: Duration = Duration::from_secs(120);
const END_LIMIT: Duration = Duration::from_secs(20);

/// Runs the check. Without npm it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    let modules = match npm::install(PACKAGE, VERSION)? {
        Ok(modules) => modules,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    setup::wasm_target()?;
    let viceroy = viceroy::program(None)?;
    let fastly = program(&modules)?;
    knows_the_alerts(&fastly)?;
    serve::write_rules()?;

    let manifest = project::root()?.join("fastly.toml");
    let before = fs::read(&manifest)?;
    let checked = build_validate_serve(&fastly, &viceroy);
    let after = fs::read(&manifest)?;
    checked?;
    ensure!(before == after, "the CLI changed fastly.toml: see `git diff fastly.toml`");
    println!("fastly.toml is as it was.");
    Ok(Outcome::Passed)
}

fn build_validate_serve(fastly: &Path, viceroy: &Path) -> anyhow::Result<()> {
    run(&mut cli(fastly, &["compute", "build", "--metadata-disable"])?)?;
    run(&mut cli(fastly, &["compute", "validate", "--package", "pkg/edge-personalizer.tar.gz"])?)?;

    let shop = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
    let _origin = DemoOrigin::start(shop).with_context(|| format!("the demo shop can't listen on {shop}"))?;
    let address = local_server::free_address()?;
    let printed = project::tools()?.join("fastly-serve.log");
    let mut serve = cli(fastly, &["compute", "serve", "--skip-build", "--metadata-disable"])?;
    serve.arg(format!("--viceroy-path={}", viceroy.display())).arg(format!("--addr={address}"));
    println!("$ {}", command::show(&serve));
    let output = File::create(&printed)?;
    serve.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut server = Serving(serve.spawn().context("can't start Fastly's CLI")?);
    let healthy = server.wait_until_healthy(address).and_then(|()| ask_for_a_decision(address));
    let ended = server.end();
    let words = || fs::read_to_string(&printed).unwrap_or_default();
    healthy.with_context(|| format!("`fastly compute serve` said:\n{}", words()))?;
    ended
}

/// Each command of ops/fastly.sh is one of the CLI's, and so are its options.
fn knows_the_alerts(fastly: &Path) -> anyhow::Result<()> {
    let script = fs::read_to_string(project::root()?.join("ops").join("fastly.sh"))?.replace("\\\n", " ");
    let mut known = 0;
    for line in script.lines() {
        let Some((before, command)) = line.split_once("fastly ") else { continue };
        if before.starts_with('#') || !matches!(before, "" | "dashboard=$(") {
            continue;
        }
        let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "|").collect();
        let names: Vec<&str> = words.iter().copied().take_while(|word| !word.starts_with("--")).collect();
        let help = Command::new(fastly).args(&names).arg("--help").output()?;
        let help = [help.stdout, help.stderr].concat();
        let help = String::from_utf8_lossy(&help);
        ensure!(
            help.contains(&format!("fastly {}", names.join(" "))),
            "no command of Fastly's CLI: fastly {}",
            names.join(" ")
        );
        for option in words.iter().filter_map(|word| word.trim_start_matches("${2:+").strip_prefix("--")) {
            let name = option.split('=').next().unwrap_or_default();
            ensure!(help.contains(&format!("--{name}")), "fastly {} knows no option --{name}", names.join(" "));
        }
        known += 1;
    }
    ensure!(known >= 4, "expected commands in ops/fastly.sh, but found {known}");
    println!("ops/fastly.sh: {known} commands of the CLI, with their options.");
    Ok(())
}

/// A visitor from Paris gets the page for Western Europe from the shop where `fastly.toml` expects it.
fn ask_for_a_decision(address: SocketAddr) -> anyhow::Result<()> {
    let answer = client::send(PARIS.address, address, &Request::get("/api/products/all"))?;
    let region = answer.header("edge-variant").unwrap_or_default();
    println!("/api/products/all from Paris answers {}: {region}", answer.status);
    ensure!(
        answer.status == 200 && region.contains("EU-WEST"),
        "expected 200 and region EU-WEST in Edge-Variant, but found {} and {region:?}",
        answer.status
    );
    Ok(())
}

/// The program itself. It stands in a package for this platform: a signal reaches it, while the script in front of it would pass none on.
fn program(modules: &Path) -> anyhow::Result<PathBuf> {
    let packages = fs::read_dir(modules.join("@fastly"))?.flatten().map(|package| package.path().join("fastly"));
    packages.into_iter().find(|file| file.is_file()).context("npm installed no program for this platform")
}

/// A command of the CLI, with a configuration folder of its own.
fn cli(fastly: &Path, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(fastly);
    command.args(arguments).arg("--non-interactive").current_dir(project::root()?);
    command.env("XDG_CONFIG_HOME", project::tools()?.join("config"));
    Ok(command)
}

/// A running `fastly compute serve`.
struct Serving(Child);

impl Serving {
    fn wait_until_healthy(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let visitor = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let end = Instant::now() + SERVE_LIMIT;
        loop {
            if let Ok(answer) = client::send(visitor, address, &Request::get("/.edge/health")) {
                println!("/.edge/health answers {}: {}", answer.status, answer.text().trim());
                ensure!(answer.status == 200, "/.edge/health answers {}", answer.status);
                return Ok(());
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("it ended with {status}");
            }
            ensure!(Instant::now() < end, "nothing answered within {SERVE_LIMIT:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks the CLI to end, which ends its local server too.
    fn end(&mut self) -> anyhow::Result<()> {
        // It may have ended already.
        let _ = kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM);
        let end = Instant::now() + END_LIMIT;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > end {
                self.0.kill()?;
                self.0.wait()?;
                bail!("`fastly compute serve` didn't end within {END_LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Only where something failed in between: it is gone already after `end`.
        let _ = self.end();
    }
}
