//! A shop's folder: rules, a store in a file, and the program run on them.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// The folder.
pub struct Shop {
    pub folder: TempDir,
}

impl Shop {
    pub fn new() -> Self {
        let shop = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(shop.rules()).unwrap();
        shop.route("one");
        shop
    }

    pub fn rules(&self) -> PathBuf {
        self.folder.path().join("rules")
    }

    pub fn route(&self, id: &str) {
        let routes = json!({ "$schema": "x", "routes": [{ "$comment": "for people", "id": id, "path": "/*" }] });
        fs::write(self.rules().join("routes.json"), routes.to_string()).unwrap();
    }

    pub fn store(&self) -> Value {
        fs::read_to_string(self.file()).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("store").join("personalizer.json")
    }

    pub fn pointer(&self) -> Value {
        serde_json::from_str(self.store()["active"].as_str().unwrap_or("null")).unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The program, ready to be run in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_personalizer"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("PERSONALIZER_TARGET", format!("file:{}", self.file().display()));
        command
    }

    pub fn well(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    pub fn refused(&self, arguments: &[&str], code: i32, expected: &str) {
        let before = self.store();
        let (found, stdout, stderr) = self.run(arguments);
        assert_eq!(found, code, "{arguments:?}: {stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains(expected), "{arguments:?}: {stdout}{stderr}");
        assert_eq!(self.store(), before, "{arguments:?} changed something");
    }
}
