//! The plan of a canary: which share of the visitors, how long at least, and how many visitors at least.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use edge_personalizer::rules::canary::Share;
use serde::Deserialize;

use crate::report::moment::{self, Micros, SECOND};

/// What `--auto default` means.
const DEFAULT: &str = "1%:10m:200,5%:30m:1000,25%:1h:5000,100%:30m";
/// Steps that a plan has at most: more of them are a mistake.
const MAX_STEPS: usize = 20;

/// A share of the visitors, and what is needed to go on from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Percent of the visitors.
    pub percent: f64,
    /// Log time at least.
    pub time: Micros,
    /// Visitors of the canary at least, in this step.
    pub visitors: u64,
}

/// The steps, their shares growing.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// At least one.
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    steps: Vec<StoredStep>,
    #[serde(rename = "$schema")]
    _schema: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredStep {
    percent: f64,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    visitors: u64,
}

impl Plan {
    /// Reads `default`, steps such as `1%:10m:200,5%:30m,100%`, or a JSON file `{"steps":[{"percent":1,"time":"10m","visitors":200}]}`.
    ///
    /// # Errors
    ///
    /// It is none of them, or its shares don't grow.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let steps = match text {
            "default" => compact(DEFAULT),
            file if Path::new(file).extension().is_some_and(|extension| extension == "json") => stored(file),
            _ => compact(text),
        }?;
        if steps.is_empty() || steps.len() > MAX_STEPS {
            bail!("expected 1 to {MAX_STEPS} steps, but found {}", steps.len());
        }
        let mut before = 0.0;
        for step in &steps {
            if Share::from_percent(step.percent).is_none() || step.percent <= before {
                bail!("expected shares that grow, up to 100 %, but found {} % after {before} %", step.percent);
            }
            if Share::from_percent(step.percent) == Some(Share::NONE) {
                bail!("expected steps of 0.0001 % and more, but found {} %: that is nobody", step.percent);
            }
            before = step.percent;
        }
        Ok(Self { steps })
    }

    /// Which step has a share.
    pub fn step_of(&self, percent: f64) -> Option<usize> {
        self.steps.iter().position(|step| (step.percent - percent).abs() < 1e-9)
    }

    /// The shares, for people.
    pub fn shares(&self) -> String {
        let shares: Vec<String> = self.steps.iter().map(|step| step.percent.to_string()).collect();
        format!("{} %", shares.join(", "))
    }
}

fn compact(text: &str) -> anyhow::Result<Vec<Step>> {
    let step = |step: &str| {
        let form = || format!("expected a step as 5%:30m:1000 (share, time, visitors), but found '{step}'");
        let mut parts = step.trim().split(':');
        let percent = parts.next().and_then(|part| part.strip_suffix('%')?.trim().parse().ok()).with_context(form)?;
        let time = parts.next().map(length).transpose()?.unwrap_or_default();
        let visitors = parts.next().map(|part| part.trim().parse().ok().with_context(form)).transpose()?;
        if parts.next().is_some() {
            bail!("{}", form());
        }
        Ok(Step { percent, time, visitors: visitors.unwrap_or_default() })
    };
    text.split(',').map(step).collect()
}

fn stored(file: &str) -> anyhow::Result<Vec<Step>> {
    let text = fs::read_to_string(file).with_context(|| format!("{file}: expected a plan, but can't read it"))?;
    let stored: Stored = serde_json::from_str(&text).with_context(|| format!("{file}: expected a plan"))?;
    let step = |step: StoredStep| {
        let time = step.time.as_deref().map(length).transpose().with_context(|| file.to_owned())?.unwrap_or_default();
        Ok(Step { percent: step.percent, time, visitors: step.visitors })
    };
    stored.steps.into_iter().map(step).collect()
}

/// A length of time: `90s`, `10m`, `6h`, `2d`.
///
/// # Errors
///
/// It is none.
pub fn length(text: &str) -> anyhow::Result<Micros> {
    match text.trim().strip_suffix('s').and_then(|number| number.parse::<i64>().ok()) {
        Some(seconds) if (1..=100_000).contains(&seconds) => Ok(seconds * SECOND),
        _ => moment::length(text.trim())
            .map_err(|_| anyhow::anyhow!("expected a length as 90s, 10m, 6h or 2d, but found '{text}'")),
    }
}

/// A length, as short as it can be written.
pub fn shown(length: Micros) -> String {
    let seconds = length / SECOND;
    match seconds {
        s if s >= 7200 && s % 3600 == 0 => format!("{}h", s / 3600),
        s if s >= 7200 => format!("{}h{}m", s / 3600, s % 3600 / 60),
        s if s >= 120 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_written_in_one_line_or_in_a_file() {
        let minute = 60 * SECOND;
        let expected = [(1.0, 10 * minute, 200), (5.0, 90 * SECOND, 0), (100.0, 0, 0)];
        let expected: Vec<Step> =
            expected.into_iter().map(|(percent, time, visitors)| Step { percent, time, visitors }).collect();
        assert_eq!(Plan::read("1%:10m:200, 5%:90s,100%").unwrap().steps, expected);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        let json =
            r#"{"steps":[{"percent":1,"time":"10m","visitors":200},{"percent":5,"time":"90s"},{"percent":100}]}"#;
        fs::write(&file, json).unwrap();
        assert_eq!(Plan::read(&file.display().to_string()).unwrap().steps, expected);
        assert_eq!(Plan::read("default").unwrap().shares(), "1, 5, 25, 100 %");
        fs::write(&file, json.replace("time", "tiem")).unwrap();
        let error = format!("{:#}", Plan::read(&file.display().to_string()).unwrap_err());
        assert!(error.contains("plan.json: expected a plan") && error.contains("tiem"), "{error}");
    }

    #[test]
    fn what_is_no_plan_is_named() {
        for (text, said) in [
            ("", "expected a step as 5%:30m:1000"),
            ("5", "but found '5'"),
            ("5%:30", "expected a length as 90s"),
            ("5%:30m:many", "expected a step"),
            ("5%:30m:1:2", "expected a step"),
            ("5%,5%", "expected shares that grow, up to 100 %, but found 5 % after 5 %"),
            ("5%,101%", "but found 101 % after 5 %"),
            ("0%", "but found 0 % after 0 %"),
            ("0.00001%", "expected steps of 0.0001 % and more, but found 0.00001 %: that is nobody"),
            ("none.json", "can't read it"),
        ] {
            let error = format!("{:#}", Plan::read(text).unwrap_err());
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
