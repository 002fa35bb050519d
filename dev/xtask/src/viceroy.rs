//! The local server's program, Viceroy: one that is here already, else a prebuilt one, else one built from source.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use local_server::VICEROY_VERSION;

use crate::command;
use crate::project;

/// A version: major, minor, patch.
type Version = (u64, u64, u64);

/// Versions from the one that everything was tried with to the next major one are taken.
const TOO_NEW: Version = (1, 0, 0);

/// A program, and its version where it says one.
type Found = (PathBuf, Option<Version>);

/// Names the program where no option does: the variable that end-to-end tests read, too.
const VARIABLE: &str = "EDGE_VICEROY";

/// The program. One that is `named`, here or by the variable, must do; else one is looked for, and installed where there is none. Says which one it is.
pub fn program(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let variable = env::var_os(VARIABLE).map(PathBuf::from);
    if let Some(path) = named.or(variable.as_deref()) {
        let Some(version) = version(path) else {
            bail!("expected Viceroy at {}, but it can't be run or says no version", path.display());
        };
        if !is_usable(version) {
            bail!("expected Viceroy {}, but {} is {}", range(), path.display(), text(version));
        }
        return Ok(path.to_owned());
    }
    let found = look()?;
    if let Some((path, version)) = choose(&found) {
        say(path, version);
        return Ok(path.clone());
    }
    for (path, version) in &found {
        let version = version.map_or_else(|| "of no version that it says".to_owned(), text);
        println!("Viceroy {version} at {} is not used: {} is expected.", path.display(), range());
    }
    install(!found.is_empty())?;
    let found = look()?;
    let installed = choose(&found).map(|(path, _)| path.clone());
    installed
        .with_context(|| format!("Viceroy {VICEROY_VERSION} was installed, but isn't where cargo installs programs"))
}

/// Which of the programs is taken: one of the version that was tried, else the first of a usable one.
fn choose(found: &[Found]) -> Option<(&PathBuf, Version)> {
    let usable = || found.iter().filter_map(|(path, version)| Some((path, (*version)?)));
    let tried = usable().find(|(_, version)| Some(*version) == tried());
    tried.or_else(|| usable().find(|(_, version)| is_usable(*version)))
}

fn tried() -> Option<Version> {
    parse(VICEROY_VERSION)
}

fn is_usable(version: Version) -> bool {
    Some(version) >= tried() && version < TOO_NEW
}

fn range() -> String {
    format!("{VICEROY_VERSION} or later, below {}", text(TOO_NEW))
}

fn text((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

fn say(path: &Path, version: Version) {
    let newer =
        if Some(version) == tried() { String::new() } else { format!(" ({VICEROY_VERSION} is what was tried)") };
    println!("The local server is Viceroy {}{newer}: {}", text(version), path.display());
}

/// The version in what a program prints: `viceroy 0.22.0`.
fn parse(printed: &str) -> Option<Version> {
    let word = printed.split_whitespace().next_back()?;
    let mut numbers = word.split(['-', '+']).next()?.split('.').map(|number| number.parse().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(version)
}

fn version(program: &Path) -> Option<Version> {
    parse(&command::output(Command::new(program).arg("--version"))?)
}

/// The programs that are here, in the order in which they are preferred.
fn look() -> anyhow::Result<Vec<Found>> {
    let in_bin = |root: PathBuf| root.join("bin").join("viceroy");
    let places = [command::find("viceroy"), cargo_home().map(in_bin), Some(in_bin(project::tools()?)), of_fastly_cli()];
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in places.into_iter().flatten().filter(|path| path.is_file()) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths.into_iter().map(|path| (version(&path), path)).map(|(version, path)| (path, version)).collect())
}

/// Where cargo installs programs, unless its configuration says otherwise.
fn cargo_home() -> Option<PathBuf> {
    let chosen = env::var_os("CARGO_INSTALL_ROOT").or_else(|| env::var_os("CARGO_HOME")).map(PathBuf::from);
    chosen.or_else(|| Some(home()?.join(".cargo")))
}

/// Where Fastly's CLI keeps the one that it downloads: below the user's folder of configuration.
fn of_fastly_cli() -> Option<PathBuf> {
    let folder = match env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|_| !cfg!(target_os = "macos")) {
        Some(folder) => folder,
        None if cfg!(target_os = "macos") => home()?.join("Library").join("Application Support"),
        None => home()?.join(".config"),
    };
    Some(folder.join("fastly").join("viceroy"))
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").map(PathBuf::from)
}

/// Installs the version that was tried. `apart`: another one is in use here, and is left alone.
fn install(apart: bool) -> anyhow::Result<()> {
    let wanted = format!("viceroy@{VICEROY_VERSION}");
    let root = project::tools()?;
    let with_root = |mut install: Command| {
        if apart {
            install.arg("--root").arg(&root);
        }
        install
    };
    if command::find("cargo-binstall").is_some() {
        println!("Downloading the local server, Viceroy {VICEROY_VERSION}, by cargo binstall.");
        let download = ["binstall", "--no-confirm", "--disable-strategies", "compile", &wanted];
        match command::run(&mut with_root(command::cargo(&download)?)) {
            Ok(()) => return Ok(()),
            Err(error) => println!("There is no prebuilt one for this machine, or no way to it: {error:#}"),
        }
    }
    println!(
        "Installing the local server, Viceroy {VICEROY_VERSION}, from source. This happens once and takes some 10 to 15 \
         minutes; cargo shows how far it is. `cargo binstall`, a `viceroy` on the PATH, or Fastly's CLI save them."
    );
    command::run(&mut with_root(command::cargo(&["install", "--locked", &wanted])?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn chosen(found: &[(&str, &str)]) -> Option<String> {
        let found: Vec<Found> = found.iter().map(|(path, printed)| (PathBuf::from(path), parse(printed))).collect();
        choose(&found).map(|(path, _)| path.display().to_string())
    }

    #[test]
    fn a_version_is_the_last_word() {
        assert_eq!(parse("viceroy 0.22.0"), Some((0, 22, 0)));
        assert_eq!(parse("viceroy 0.23.1-pre+5"), Some((0, 23, 1)));
        for odd in ["", "viceroy", "viceroy 0.22", "viceroy 0.22.x", "viceroy 1.2.3.4"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_version_that_was_tried_is_preferred_wherever_it_lies() {
        let found = [("path", "viceroy 0.25.0"), ("cargo", "viceroy 0.22.0")];
        assert_eq!(chosen(&found).as_deref(), Some("cargo"));
    }

    #[test]
    fn a_later_version_will_do_and_the_first_is_taken() {
        let found = [("old", "viceroy 0.21.9"), ("path", "viceroy 0.22.1"), ("cli", "viceroy 0.30.0")];
        assert_eq!(chosen(&found).as_deref(), Some("path"));
    }

    #[test]
    fn too_old_too_new_and_unknown_ones_are_not_taken() {
        assert_eq!(chosen(&[("a", "viceroy 0.21.0"), ("b", "viceroy 1.0.0"), ("c", "not a viceroy")]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_program_that_was_named_is_no_other() {
        let error = program(Some(Path::new("/nowhere/viceroy"))).unwrap_err().to_string();
        assert_eq!(error, "expected Viceroy at /nowhere/viceroy, but it can't be run or says no version");
    }
}
