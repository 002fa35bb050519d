//! What delivers: the scripts that the workflows run, the action for a repository of rules, Terraform's names. Fastly's CLI and
//! GitHub's are stand-ins that write down what they are asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A folder to work in, with programs of its own that come first on `PATH`.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(TempDir::new().unwrap());
        fs::create_dir(bench.path("bin")).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A program that writes its arguments down, then does what `shell` says.
    fn stand_in(&self, name: &str, shell: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\necho \"$*\" >> '{}'\n{shell}\n", self.path("asked").display())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.path("asked")).unwrap_or_default()
    }

    fn run(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), env::var("PATH").unwrap());
        let mut command = Command::new(repository().join(script));
        command.args(arguments).current_dir(self.0.path()).env("PATH", path).envs(variables.iter().copied());
        command.output().unwrap()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Whether a program is there. Where it isn't, a line says so, and the test has shown nothing.
fn has(program: &str) -> bool {
    let found = env::split_paths(&env::var_os("PATH").unwrap()).any(|folder| folder.join(program).is_file());
    if !found {
        assert!(env::var_os("CI").is_none(), "{program} is missing");
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {program} is missing (Debian: apt-get install {program})");
    }
    found
}

/// A site that answers with these statuses, one after the other, and then with the last one for ever.
fn site(statuses: &'static [u16]) -> String {
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
    let url = format!("http://{}", server.server_addr());
    let asked = AtomicUsize::new(0);
    thread::spawn(move || {
        while let Ok(request) = server.recv() {
            let turn = asked.fetch_add(1, Ordering::Relaxed).min(statuses.len() - 1);
            let _ = request.respond(tiny_http::Response::from_string("{}").with_status_code(statuses[turn]));
        }
    });
    url
}

#[test]
fn a_repository_of_rules_is_checked_compared_pushed_and_tried_by_the_action() {
    let bench = Bench::new();
    bench.stand_in("gh", "true");
    let rules = bench.path("rules");
    fs::create_dir(&rules).unwrap();
    let route = |id: &str| {
        let routes = json!({ "routes": [{ "id": id, "path": "/*" }] });
        fs::write(rules.join("routes.json"), routes.to_string()).unwrap();
    };
    route("one");
    let store = bench.path("store.json");
    let target = format!("file:{}", store.display());
    let act = |step: &str, more: &[(&str, &str)]| {
        let program = env!("CARGO_BIN_EXE_personalizer");
        let mut variables = vec![("STEP", step), ("PERSONALIZER", program), ("GITHUB_SHA", "0123456789abcdef0123")];
        variables.extend(more);
        bench.run(".github/actions/rules/run", &[], &variables)
    };
    let on = ("PERSONALIZER_TARGET", target.as_str());

    let checked = act("check", &[]);
    assert_eq!(code(&checked), 0, "{}", text(&checked));
    let pushed = act("push", &[on, ("REVISION", "r1")]);
    assert_eq!(code(&pushed), 0, "{}", text(&pushed));
    let program = Command::new(env!("CARGO_BIN_EXE_personalizer")).args(["promote", "r1", "--on", &target]).output();
    assert!(program.unwrap().status.success());

    route("two");
    let compared = act("diff", &[on, ("PULL_REQUEST", "7")]);
    assert_eq!(code(&compared), 0, "a difference is no failure: {}", text(&compared));
    assert!(text(&compared).contains("two"), "{}", text(&compared));
    assert!(bench.asked().starts_with("pr comment 7 --body-file "), "{}", bench.asked());

    let tried = act("canary", &[on, ("PERCENT", "10")]);
    assert_eq!(code(&tried), 0, "{}", text(&tried));
    let entries: Value = serde_json::from_str(&fs::read_to_string(&store).unwrap()).unwrap();
    let active: Value = serde_json::from_str(entries["active"].as_str().unwrap()).unwrap();
    assert_eq!(active["canary"], json!({ "revision": "r0123456789ab", "percent": 10.0 }));

    fs::write(rules.join("routes.json"), r#"{"routes":[{"id":"x"}]}"#).unwrap();
    assert_eq!(code(&act("check", &[])), 1, "a faulty rule fails the check");
    for (step, more, said) in [
        ("push", &[][..], "needs the input target"),
        ("publish", &[], "expected the step check, diff, push or canary, but found 'publish'"),
    ] {
        let refused = act(step, more);
        assert_eq!(code(&refused), 2);
        assert!(text(&refused).contains(said), "{}", text(&refused));
    }
}

#[test]
fn a_release_file_comes_with_its_checksum() {
    let bench = Bench::new();
    fs::write(bench.path("personalizer"), "a program").unwrap();
    let made = bench.run(".ci/archive", &["personalizer", "personalizer", "x86_64-linux", "v1.0.0"], &[]);
    assert_eq!(code(&made), 0, "{}", text(&made));
    let folder = bench.path("target").join("release-files");
    let shell =
        "sha256sum --check ./*.sha256 && tar --extract --to-stdout --file personalizer-v1.0.0-x86_64-linux.tar.gz";
    let checked = Command::new("sh").args(["-c", shell]).current_dir(&folder).output().unwrap();
    assert!(text(&checked).contains("OK") && text(&checked).ends_with("a program"), "{}", text(&checked));
    let missing = bench.run(".ci/archive", &["personalizer", "nothing", "x86_64-linux", "v1.0.0"], &[]);
    assert_eq!((code(&missing), text(&missing).as_str()), (1, "nothing: not found\n"));
}

#[test]
fn a_smoke_test_waits_for_a_service_and_fails_on_a_broken_page() {
    if !has("curl") {
        return;
    }
    let bench = Bench::new();
    let late = bench.run(".ci/smoke", &[&site(&[503, 200])], &[]);
    assert_eq!(code(&late), 0, "{}", text(&late));
    let never = bench.run(".ci/smoke", &[&site(&[503])], &[("SMOKE_SECONDS", "0")]);
    assert_eq!(code(&never), 1, "{}", text(&never));
    let broken = bench.run(".ci/smoke", &[&site(&[200, 502])], &[]);
    assert_eq!(code(&broken), 1, "{}", text(&broken));
    assert!(text(&broken).contains("/ answers 502"), "{}", text(&broken));
}

#[test]
fn a_deployment_that_fails_its_smoke_test_is_taken_back() {
    if !(has("curl") && has("jq")) {
        return;
    }
    let deploy = |statuses: &'static [u16]| {
        let bench = Bench::new();
        bench.stand_in(
            "fastly",
            r#"case $* in *list*) echo '[{"Number":4,"Active":true},{"Number":5,"Active":false}]' ;; esac"#,
        );
        let output =
            bench.run(".ci/deploy", &["SERVICE", "package.tar.gz", &site(statuses)], &[("SMOKE_SECONDS", "0")]);
        (code(&output), text(&output), bench.asked())
    };
    let (status, said, asked) = deploy(&[200]);
    assert_eq!(status, 0, "{said}");
    let steps: Vec<&str> = asked.lines().filter(|line| !line.contains(" list ")).collect();
    assert_eq!(
        steps,
        [
            "compute update --service-id SERVICE --version latest --autoclone --package package.tar.gz",
            "service-version stage --service-id SERVICE --version 5",
            "service-version activate --service-id SERVICE --version 5",
        ]
    );
    let (status, said, asked) = deploy(&[503]);
    assert_eq!(status, 1, "{said}");
    assert_eq!(asked.lines().last(), Some("service-version activate --service-id SERVICE --version 4"));
    assert!(said.contains("version 5 failed; version 4 serves again"), "{said}");
}

/// The `name` of each block at the end of this path.
fn names(terraform: &hcl::Body, path: &[&str]) -> BTreeSet<String> {
    let Some((kind, deeper)) = path.split_first() else {
        let name = terraform.attributes().find(|attribute| attribute.key() == "name").unwrap();
        return BTreeSet::from([name.expr().to_string().trim_matches('"').to_owned()]);
    };
    let blocks = terraform.blocks().filter(|block| block.identifier() == *kind);
    blocks.flat_map(|block| names(block.body(), deeper)).collect()
}

#[test]
fn terraform_links_the_stores_that_the_service_opens() {
    let folder = repository().join("deploy/terraform");
    let parsed = |file: &str| hcl::parse(&fs::read_to_string(folder.join(file)).unwrap()).unwrap();
    for file in ["variables.tf", "outputs.tf", "example.tfvars"] {
        let _ = parsed(file);
    }
    let main = parsed("main.tf");
    let service = main
        .blocks()
        .find(|block| block.labels().first().is_some_and(|label| label.as_str() == "fastly_service_compute"));
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(repository().join("fastly.toml")).unwrap()).unwrap();
    let keys = |kind: &str| manifest["setup"][kind].as_table().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let stores = ["config_stores", "kv_stores", "secret_stores"].into_iter().flat_map(keys).collect();
    assert_eq!(names(service.unwrap().body(), &["resource_link"]), stores);
    let locals = main.blocks().find(|block| block.identifier() == "locals").unwrap();
    let endpoints = locals.body().attributes().find(|attribute| attribute.key() == "log_endpoints").unwrap();
    for endpoint in keys("log_endpoints") {
        assert!(endpoints.expr().to_string().contains(&format!("\"{endpoint}\"")), "{endpoint}");
    }
}
