//! `settings.log.redact`: a secret in a path is in no line of any log, wherever rules put it and whatever fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::memory::{Answer, Asked, Memory};
use edge_personalizer::platform::{Endpoint, SendError};
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::sessions::{browser, store};
use support::{NEW_YORK, ok, path_of, status};

const MARK: &str = "s3cret-mark";

/// What an origin does: its name, and its answer.
type Origin = (&'static str, fn(&Asked) -> Answer);

/// Rules that put the secret wherever a rule can; a shadow that puts it elsewhere.
fn revision(prefix: &str) -> [(&'static str, Value); 3] {
    let moved = format!("{prefix}/{{path.token}}");
    [
        (
            "settings",
            json!({ "log": { "exposure_attributes": ["path", "country"], "facts": ["path", "country"],
                "redact": ["/reset/{token}", "/moved/{token}", "/here/{token}", "/through/{token}", "/lost/{token}", "/files/*"] } }),
        ),
        (
            "features",
            json!({ "features": { "hero": { "defaultValue": "none", "rules": [
                { "key": "hero-test", "variations": ["old", "new"], "hashVersion": 2, "hashAttribute": "visitorId" }] } } }),
        ),
        (
            "routes",
            json!({ "routes": [
                { "id": "reset", "path": "/reset/{token}", "features": ["hero"] },
                { "id": "moved", "path": "/moved/{token}", "features": ["hero"], "rewrite": { "path": moved }, "cache": {} },
                { "id": "inside", "path": "/moved/{token}/x", "rewrite": { "path": format!("{prefix}/x-{{path.token}}.html") } },
                { "id": "here", "path": "/here/{token}", "action": "respond", "respond": { "body": "{path.token} {feature.hero}" } },
                { "id": "through", "path": "/through/{token}", "action": "passthrough" },
                { "id": "files", "path": "/files/*", "rewrite": { "path": format!("{prefix}/{{path.rest}}") } },
                { "id": "lost", "path": "/lost/{token}", "backend": "nowhere", "fallback": { "path": format!("{prefix}/f/{{path.token}}") } } ] }),
        ),
    ]
}

fn shop(origin: impl Fn(&Asked) -> Answer + 'static) -> Memory {
    let host = store(origin);
    for (name, prefix) in [("r1", "/live"), ("r2", "/shadow")] {
        for (dictionary, value) in revision(prefix) {
            host.set(&format!("{name}/{dictionary}"), &value);
        }
    }
    host.set("active", &json!({ "revision": "r1", "shadow": "r2" }));
    host
}

fn leaks(host: &Memory) -> Vec<String> {
    host.lines.borrow().iter().map(|(_, line)| line.clone()).filter(|line| line.contains("s3cret")).collect()
}

#[test]
fn a_secret_in_a_path_is_in_no_line() {
    let origins: [Origin; 4] = [
        ("well", |asked| ok(&path_of(&asked.url))),
        ("404", |_| status(404)),
        ("503", |_| status(503)),
        ("down", |_| Err(SendError::Failed)),
    ];
    let long = format!("/files/{}{MARK}", "a".repeat(505));
    let targets = [
        "/reset/s3cret-mark",
        "/reset/s3cret-mark/",
        "//reset/s3cret-mark",
        "/RESET/s3cret-mark",
        "/moved/s3cret-mark?q=s3cret-mark",
        "/moved/s3cret%2Dmark",
        "/here/s3cret-mark",
        "/through/s3cret-mark",
        "/lost/s3cret-mark",
        "/files/a/s3cret-mark.pdf",
        long.as_str(),
    ];
    let (mut lines, mut exposures, mut shadows) = (0, 0, 0);
    for (origin, answer) in origins {
        for target in targets {
            for method in ["GET", "HEAD", "POST"] {
                let host = shop(answer);
                // A cold sandbox spends its look-ups on the revision that serves: the shadow comes later.
                let mut sandbox = Sandbox::default();
                for target in ["/other", "/other", target] {
                    browser(NEW_YORK, target).by(method).send_in(&host, &mut sandbox);
                }
                assert_eq!(leaks(&host), [""; 0], "{method} {target}, origin {origin}");
                lines += host.lines.borrow().len();
                exposures += host
                    .lines_of(Endpoint::Exposures)
                    .iter()
                    .filter(|line| line["attributes"]["path"].is_string())
                    .count();
                shadows +=
                    host.lines_of(Endpoint::Decisions).iter().filter(|line| line["shadow"]["path"].is_string()).count();
            }
        }
    }
    println!("{lines} lines, {exposures} exposures with a path, {shadows} shadows with a path: 0 leaks");
    assert!(lines > 500 && exposures > 5 && shadows > 5, "the search would find something");
}

#[test]
fn a_line_still_says_which_page_it_was() {
    let host = shop(|asked| ok(&path_of(&asked.url)));
    let shown = |target: &str| {
        browser(NEW_YORK, target).send(&host);
        let line = host.lines_of(Endpoint::Decisions).pop().unwrap();
        (line["path"].as_str().unwrap().to_owned(), line["backend_path"].as_str().unwrap().to_owned())
    };
    let pair = |path: &str, backend: &str| (path.to_owned(), backend.to_owned());
    assert_eq!(shown("/reset/s3cret-mark"), pair("/reset/{token}", "/reset/{token}"));
    assert_eq!(shown("/moved/s3cret-mark"), pair("/moved/{token}", "/live/redacted"));
    assert_eq!(shown("/other/page"), pair("/other/page", "/other/page"));
}

#[test]
fn without_usable_settings_no_line_has_a_path() {
    let without = |host: &Memory| {
        browser(NEW_YORK, "/reset/s3cret-mark").send(host);
        assert_eq!(leaks(host), [""; 0]);
        assert_eq!(host.lines_of(Endpoint::Decisions)[0]["path"], "/*");
    };
    for redact in [json!("/reset/{token}"), json!(["reset/{token}"]), json!([7]), json!(null)] {
        let host = shop(|asked| ok(&path_of(&asked.url)));
        host.set("r1/settings", &json!({ "log": { "redact": redact } }));
        without(&host);
        let errors = host.lines_of(Endpoint::Errors);
        assert!(errors.iter().any(|line| line.to_string().contains("/log/redact")), "{redact}: {errors:?}");
    }
    let off = shop(|asked| ok(&path_of(&asked.url)));
    off.set("active", &json!({ "enabled": false, "revision": "r1" }));
    browser(NEW_YORK, "/reset/s3cret-mark").send(&off);
    assert_eq!(leaks(&off), [""; 0]);
    assert_eq!(off.lines_of(Endpoint::Decisions)[0]["path"], "/reset/{token}", "the settings are known while off");
    let unusable = shop(|asked| ok(&path_of(&asked.url)));
    unusable.config_fails.set(Some(edge_personalizer::platform::StoreError::Failed));
    without(&unusable);
}

#[test]
fn without_the_setting_the_marks_are_found() {
    let host = shop(|asked| ok(&path_of(&asked.url)));
    host.set("r1/settings", &json!({ "log": { "exposure_attributes": ["path"] } }));
    for target in ["/reset/s3cret-mark", "/moved/s3cret-mark"] {
        browser(NEW_YORK, target).send(&host);
    }
    assert!(leaks(&host).len() >= 4, "what is searched for would be found: {:?}", leaks(&host));
}
