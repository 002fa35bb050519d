//! The result: what `--format json` writes, and what the page and the metrics are made from. Its schema is published (`personalizer
//! schema`): a member may be added, but none changes its meaning within a version.

use schemars::JsonSchema;
use serde::Serialize;

/// The version of the shape.
pub const VERSION: u32 = 1;

/// What `personalizer report --format json` writes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    /// The version of this shape: 1.
    pub v: u32,
    /// What was read.
    pub read: Read,
    /// The time of the first line that counts (RFC 3339, UTC).
    pub from: Option<String>,
    /// The time of the last one.
    pub to: Option<String>,
    /// What limits all that follows, in sentences.
    pub warnings: Vec<String>,
    /// Requests by POP, route and revision, the most first.
    pub traffic: Vec<TrafficRow>,
    /// The same by one of them at a time.
    pub summary: Summary,
    /// Experiments: one for each log key and phase, for nothing is put together across them.
    pub experiments: Vec<Experiment>,
}

/// What was read.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Read {
    /// Lines of the logs, those that came again included.
    pub lines: u64,
    /// Their bytes, unpacked.
    pub bytes: u64,
    /// Lines that came again, and don't count.
    pub doubled: u64,
    /// Lines that can't be read, cut ones for example.
    pub broken: u64,
    /// Lines that came more than an hour after younger ones. They count.
    pub late: u64,
    /// Lines of other programs.
    pub other: u64,
    /// Lines, and rows of `--orders`, outside of the time that was asked for.
    pub outside: u64,
    /// Events that came again under their id, and don't count.
    pub repeated: u64,
    /// The share of units that is kept: 1, or less where there was no memory for more.
    pub units_share: f64,
}

/// Requests of one POP, route and revision.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrafficRow {
    /// The data centre.
    pub pop: String,
    /// The route; `null` where none matched.
    pub route: Option<String>,
    /// The revision; `null` at bare names.
    pub revision: Option<String>,
    /// Requests. A sampled line counts for those that it stands for.
    pub requests: u64,
    /// Milliseconds to the answer's head: the median.
    pub p50: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
    /// Requests that were a sandbox's first.
    pub cold: u64,
    /// Answers of a status of 500 and above.
    pub failed: u64,
    /// Requests for which the fallback was taken.
    pub fallback: u64,
}

/// Traffic from other sides.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Summary {
    /// All requests.
    pub all: Slice,
    /// By POP.
    pub pops: Vec<Slice>,
    /// By route.
    pub routes: Vec<Slice>,
    /// By revision.
    pub revisions: Vec<Slice>,
    /// Cold starts, and the others.
    pub cold: Vec<Slice>,
    /// By hour.
    pub hours: Vec<HourRow>,
    /// By error code.
    pub codes: Vec<CodeRow>,
    /// By the state of the session.
    pub sessions: Vec<Count>,
    /// The variants that most requests got.
    pub variants: Vec<Count>,
    /// Second lines of requests that came by a shield: they count nowhere else.
    pub shield: u64,
}

/// Requests of one kind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Slice {
    /// Which.
    pub name: String,
    /// Requests.
    pub requests: u64,
    /// Milliseconds to the answer's head.
    pub total: Quantiles,
    /// Milliseconds without waiting for the backend.
    pub own: Quantiles,
    /// Requests that were a sandbox's first.
    pub cold: u64,
    /// Answers of a status of 500 and above.
    pub failed: u64,
    /// Requests for which the fallback was taken.
    pub fallback: u64,
    /// vCPU seconds that a million requests cost; `null` where the platform didn't say.
    pub vcpu_seconds_per_million: Option<f64>,
}

/// Three quantiles, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Quantiles {
    /// The median.
    pub p50: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// Requests of one hour.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HourRow {
    /// Its beginning (RFC 3339, UTC).
    pub hour: String,
    /// Requests.
    pub requests: u64,
    /// Answers of a status of 500 and above.
    pub failed: u64,
    /// Requests for which the fallback was taken.
    pub fallback: u64,
    /// Requests that were a sandbox's first.
    pub cold: u64,
    /// Requests with an error code.
    pub codes: std::collections::BTreeMap<String, u64>,
}

/// An error code.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CodeRow {
    /// The code.
    pub code: String,
    /// Requests that have it in `decisions`.
    pub requests: u64,
    /// Lines of `errors`.
    pub lines: u64,
    /// The last line of `errors`.
    pub last: Option<String>,
    /// What the last one says of a rule.
    pub fault: Option<String>,
}

/// A name and how often.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Count {
    /// The name.
    pub name: String,
    /// How often.
    pub requests: u64,
}

/// An experiment under one log key, in one phase.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Experiment {
    /// Its key.
    pub id: String,
    /// Which attribute was hashed.
    pub unit_type: String,
    /// The log key's id; `null` for lines of version 1.
    pub key: Option<String>,
    /// The revisions that were served, in the order of their first units.
    pub revisions: Vec<String>,
    /// The first exposure (RFC 3339, UTC).
    pub from: String,
    /// The last first exposure.
    pub to: String,
    /// The variations, in their order.
    pub variations: Vec<Variation>,
    /// New units by day.
    pub days: Vec<Day>,
    /// The test of the sample ratio.
    pub srm: Srm,
    /// Units that were seen in several variations.
    pub units_in_several: u64,
    /// What is wrong or to be known, in sentences.
    pub warnings: Vec<String>,
    /// Each metric, for each variation but the baseline.
    pub metrics: Vec<MetricRow>,
}

/// A variation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Variation {
    /// Its key.
    pub id: String,
    /// The share that it should have.
    pub weight: f64,
    /// Units by their first exposure.
    pub units: u64,
    /// Units that got the answer as it was decided, at least once.
    pub shown: u64,
    /// Units that got a fallback instead, at least once.
    pub fallback: u64,
    /// Why, and how often.
    pub reasons: Vec<Count>,
}

/// First exposures of one day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Day {
    /// The day (UTC).
    pub day: String,
    /// Units by variation.
    pub units: Vec<u64>,
}

/// The test of the sample ratio.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Srm {
    /// Chi-square of first exposures against the weights; `null` where there are too few.
    pub p: Option<f64>,
    /// The p value is below 0.001: no other figure can be trusted.
    pub flagged: bool,
    /// Where the weights come from: `rules`, or `equal` where no rules define the experiment.
    pub weights: WeightsFrom,
    /// Where the ratio is off, the strongest first.
    pub by: Vec<SrmPart>,
}

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WeightsFrom {
    /// From the rules.
    Rules,
    /// Nobody said: equal shares are assumed.
    Equal,
}

/// A part of the units whose ratio is off.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SrmPart {
    /// `country`, `device`, `revision`, `day` or `fallback`.
    pub dimension: String,
    /// Which of them.
    pub value: String,
    /// Units by variation.
    pub units: Vec<u64>,
    /// Chi-square.
    pub p: f64,
}

/// A metric of one variation beside the baseline.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MetricRow {
    /// As `--metric` names it.
    pub name: String,
    /// The variation's key.
    pub variation: String,
    /// The baseline's mean: the first variation's.
    pub baseline: f64,
    /// This variation's mean.
    pub mean: f64,
    /// (mean − baseline) / baseline; `null` where that can't be told.
    pub lift: Option<f64>,
    /// The 95 % confidence sequence of the lift: it holds however often anybody looks.
    pub sequence: Option<[f64; 2]>,
    /// The 95 % interval of the lift at the horizon; `null` until the logs reach the horizon and the window of the last unit before it.
    pub fixed: Option<[f64; 2]>,
    /// What it means.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub why: String,
    /// Units that did it: the baseline's and this variation's.
    pub did: [u64; 2],
    /// Days until a difference of `--least` could be told, at the traffic so far.
    pub days_left: Option<f64>,
}

/// What a metric says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Above the baseline.
    Better,
    /// Below the baseline.
    Worse,
    /// No difference as large as the one that matters.
    Flat,
    /// It can't be told yet.
    Undecided,
    /// The figures can't be trusted.
    Untrusted,
}

impl Verdict {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Flat => "flat",
            Self::Undecided => "undecided",
            Self::Untrusted => "untrusted",
        }
    }
}
