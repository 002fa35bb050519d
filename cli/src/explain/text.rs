//! An explanation, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use edge_personalizer::decide::NotMatched;
use edge_personalizer::explain::{Asked, Explanation, RouteStep, Sent};
use owo_colors::OwoColorize as _;
use serde_json::Value;

/// Every step, a paragraph each.
pub fn render(explanation: &Explanation) -> String {
    let mut text = String::new();
    // Writing to a String can't fail, here and below.
    if let Some((status, code)) = explanation.refused {
        let _ = writeln!(text, "The request is refused: {status} ({code}).");
        return text;
    }
    if explanation.reserved {
        let _ = writeln!(text, "The path is the edge's own: no rule touches it.");
        return text;
    }
    visitor(&mut text, explanation);
    routes(&mut text, explanation);
    plan(&mut text, explanation);
    for fault in &explanation.faults {
        let _ = writeln!(text, "{} {fault}", "fault".red());
    }
    text
}

fn title(text: &mut String, title: &str) {
    let _ = writeln!(text, "{}", title.bold());
}

fn visitor(text: &mut String, explanation: &Explanation) {
    title(text, "Visitor");
    if let Some(visitor) = &explanation.visitor {
        let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
        let _ = writeln!(
            text,
            "  country {}, subdivision {}, continent {}, language {}, device {}, at {}",
            or(&visitor.country),
            or(&visitor.subdivision),
            visitor.continent.unwrap_or("unknown"),
            visitor.language.as_deref().unwrap_or("none"),
            visitor.device.unwrap_or("not asked"),
            explanation.time
        );
        if visitor.unit == Some("not logged") {
            // Nor is what may be done with them.
            let _ = writeln!(text, "  who asked: not logged; session: {}", visitor.session);
        } else {
            let _ = writeln!(
                text,
                "  may be identified: {}; takes part in experiments: {}; known by: {}; session: {}",
                yes(visitor.may_be_identified),
                yes(visitor.may_be_bucketed),
                visitor.unit.unwrap_or("nothing"),
                match visitor.session {
                    "none" => "not asked",
                    state => state,
                }
            );
        }
    }
    if let Some(region) = &explanation.region {
        let reason = serde_json::to_value(region.reason).unwrap_or_default();
        title(text, &format!("Region: {} ({}), by {}", region.id, region.slug, reason.as_str().unwrap_or_default()));
        for tried in &region.considered {
            let why = match &tried.blocked_by {
                None => "holds".green().to_string(),
                Some(key) => format!("no: {key}"),
            };
            let _ = writeln!(text, "  {:<20} {why}", tried.id);
        }
    }
}

fn yes(truth: bool) -> &'static str {
    if truth { "yes" } else { "no" }
}

fn routes(text: &mut String, explanation: &Explanation) {
    let matched = explanation.routes.iter().find(|route| route.matched);
    title(text, &format!("Route: {}", matched.map_or("none, the request passes through", |route| &route.id)));
    let mut reached = true;
    for route in &explanation.routes {
        let _ = writeln!(text, "  {:<20} {}", route.id, why(route, reached));
        reached &= !route.matched;
    }
    if !explanation.shown.is_empty() {
        title(text, "Features and experiments");
    }
    for shown in &explanation.shown {
        let variation = match (&shown.experiment, shown.variation) {
            (Some(experiment), Some(variation)) => format!(", variation {variation} of {experiment}"),
            _ => String::new(),
        };
        let _ = writeln!(text, "  {:<20} {} ({}{variation})", shown.key, shown.value, shown.source);
    }
    for step in &explanation.steps {
        let _ = writeln!(text, "    {step}");
    }
}

fn why(route: &RouteStep, reached: bool) -> String {
    match route.why_not {
        _ if route.matched => "matches".green().to_string(),
        Some(NotMatched::Host) => "no: it is for another host".to_owned(),
        Some(NotMatched::Method) => "no: it is for other methods".to_owned(),
        Some(NotMatched::Schedule) => "no: its time has not come, or is over".to_owned(),
        Some(NotMatched::When) => match &route.blocked_by {
            Some(key) => format!("no: its condition on {key} doesn't hold"),
            None => "no: its condition doesn't hold".to_owned(),
        },
        None if reached => "no".to_owned(),
        None => "not tried: an earlier one matches".to_owned(),
    }
}

fn plan(text: &mut String, explanation: &Explanation) {
    let Some(plan) = &explanation.plan else { return };
    let variant: Vec<String> = plan.variant.iter().map(|(name, value)| format!("{name}={value}")).collect();
    title(text, &format!("Variant: {}", if variant.is_empty() { "none".to_owned() } else { variant.join(", ") }));
    if let Some(asks) = &plan.asks {
        title(text, "To the origin");
        request(text, asks);
    }
    if let Some(fallback) = &plan.falls_back_to {
        let statuses: Vec<String> = plan.fails_on.iter().map(u16::to_string).collect();
        let when = match &plan.answers {
            Some(_) => "without that body".to_owned(),
            None => format!("on {} or no answer", statuses.join(", ")),
        };
        let _ = writeln!(text, "  {when}: {} {}", fallback.method, fallback.url);
    }
    if let Some(answers) = &plan.answers {
        title(text, &format!("The edge answers {}", answers.status));
        lines(text, &answers.headers);
        let _ = match &answers.kv {
            Some(key) => writeln!(text, "  the body is made of '{key}' in the KV store 'rules'"),
            None => writeln!(text, "\n{}", answers.body),
        };
    } else {
        title(text, "On the answer");
        lines(text, &plan.adds);
        if plan.rewrites_body {
            let _ = writeln!(text, "  the body is rewritten, where its type fits");
        }
    }
    for code in &plan.codes {
        let _ = writeln!(text, "  {} {code}", "code".yellow());
    }
}

fn request(text: &mut String, asked: &Asked) {
    let _ = writeln!(text, "  {} {} (backend {})", asked.method, asked.url, asked.backend);
    lines(text, &asked.headers);
    let _ = match &asked.cache {
        Sent::Pass => writeln!(text, "  cache: passed"),
        Sent::Origin => writeln!(text, "  cache: as the origin's headers say"),
        Sent::Shared { key, ttl, surrogate_keys } => {
            let ttl = ttl.map_or("as the origin says".to_owned(), |seconds| format!("{seconds} s"));
            writeln!(text, "  cache: shared, key {key}, {ttl}, surrogate keys {}", surrogate_keys.join(" "))
        }
    };
}

fn lines(text: &mut String, headers: &[(String, String)]) {
    for (name, value) in headers {
        let _ = writeln!(text, "    {name}: {value}");
    }
}

/// Where the rules now say something else than the log line does.
pub fn differences(line: &Value, explanation: &Explanation) -> Vec<String> {
    let mut differences = Vec::new();
    let plan = explanation.plan.as_ref();
    let mut compare = |what: &str, logged: Option<&str>, now: Option<&str>| {
        if logged != now {
            let or = |value: Option<&str>| value.unwrap_or("none").to_owned();
            differences.push(format!("{what}: expected {} as logged, but found {}", or(logged), or(now)));
        }
    };
    let said = |key: &str| line.get(key).and_then(Value::as_str);
    compare("route", said("route"), plan.and_then(|plan| plan.route.as_deref()));
    if said("region").is_some() {
        compare("region", said("region"), explanation.region.as_ref().map(|region| region.id.as_str()));
    }
    if said("fallback").is_none() {
        let asked = plan.and_then(|plan| plan.asks.as_ref());
        let path = asked.and_then(|asked| asked.url.splitn(4, '/').nth(3)).map(|rest| format!("/{rest}"));
        let path = path.as_deref().map(|path| path.split('?').next().unwrap_or(path));
        compare("path", said("backend_path"), path);
        let logged = line.get("variant").and_then(Value::as_object).cloned().unwrap_or_default();
        let now: BTreeMap<&str, &str> = plan
            .map(|plan| plan.variant.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
            .unwrap_or_default();
        let names: BTreeSet<&str> = logged.keys().map(String::as_str).chain(now.keys().copied()).collect();
        for name in names {
            compare(name, logged.get(name).and_then(Value::as_str), now.get(name).copied());
        }
    }
    differences
}
