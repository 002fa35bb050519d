//! Reads all logs, several pieces at a time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

use super::input::{self, Piece};
use super::lines::{self, Conversion, Decision, ErrorLine, Exposure, Log, or_empty};
use super::members::{self, Layout};
use super::moment::{self, HOUR, Micros};
use super::names::{Known, Name, Names};
use super::rules::Rules;
use super::seen::{Map, Seen, hash};
use super::traffic::Traffic;
use super::units::{Block, Done, Source, Unit, Units, unit_of};

/// No experiment has so many: a line that says so is garbage.
const MOST_VARIATIONS: u16 = 256;

/// What readers share.
pub struct Shared<'r> {
    /// All texts.
    pub names: Names,
    /// Who was exposed, and what they did.
    pub units: Units,
    /// Lines that were read before.
    pub seen: Seen,
    /// What the rules say.
    pub rules: &'r Rules,
    /// Lines before this are left out.
    pub from: Option<Micros>,
    /// Lines from this on are left out.
    pub to: Option<Micros>,
}

/// How many lines there were.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Lines of the four logs.
    pub lines: u64,
    /// Bytes of all lines, unpacked.
    pub bytes: u64,
    /// Lines that came again.
    pub doubled: u64,
    /// Lines that can't be read, or can't all.
    pub broken: u64,
    /// Lines that come more than an hour after younger ones.
    pub late: u64,
    /// Lines of other programs.
    pub other: u64,
    /// Lines outside of `--from` and `--to`.
    pub outside: u64,
    /// Compressed files that end in the middle.
    pub cut_off: u64,
    /// Lines of `exposures`.
    pub exposures: u64,
    /// Lines of `conversions`.
    pub conversions: u64,
    /// Lines of `conversions` without a unit: nobody may be known there.
    pub unknown_units: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Collected {
    /// How much.
    pub counts: Counts,
    /// `decisions` and `errors`.
    pub traffic: Traffic,
    /// The names of variations.
    pub variations: BTreeMap<(Block, u16), Name>,
    /// Exposures that weren't shown, by reason.
    pub reasons: BTreeMap<(Block, u16, Name), u64>,
    /// The latest time of any line, also beyond `--to`: how far the logs go.
    pub reached: Option<Micros>,
    /// The earliest and the latest time.
    pub span: Option<(Micros, Micros)>,
}

/// Reads every piece.
///
/// # Errors
///
/// The first file that can't be read.
pub fn all(pieces: Vec<Piece>, shared: &Shared<'_>, threads: usize, bar: &ProgressBar) -> anyhow::Result<Collected> {
    let queue = Mutex::new(VecDeque::from(pieces));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let read = || -> anyhow::Result<Collected> {
        let mut reader = Reader::new(shared);
        while let Some(piece) = next() {
            reader.newest = [Micros::MIN; 4];
            let ended = input::lines(&piece, bar, |line| reader.line(line))?;
            let counts = &mut reader.collected.counts;
            counts.bytes += ended.bytes;
            counts.broken += ended.too_long;
            counts.cut_off += u64::from(ended.cut_off);
        }
        Ok(reader.collected)
    };
    let parts: Vec<anyhow::Result<Collected>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(read)).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a reader stopped in the middle"))))
            .collect()
    });
    let mut all = Collected::default();
    for part in parts {
        all.merge(part?);
    }
    Ok(all)
}

/// How the lines of each log begin their members.
#[derive(Debug, Default)]
struct Layouts {
    decisions: Layout,
    exposures: Layout,
    conversions: Layout,
    errors: Layout,
}

/// One thread's.
struct Reader<'s> {
    shared: &'s Shared<'s>,
    names: Known,
    blocks: Map<(Name, Name, Option<Name>, Name), Block>,
    variations: HashSet<(Block, u16), foldhash::fast::FixedState>,
    newest: [Micros; 4],
    layouts: Layouts,
    collected: Collected,
}

impl<'s> Reader<'s> {
    fn new(shared: &'s Shared<'s>) -> Self {
        let names = Known::new(&shared.names);
        Self {
            shared,
            names,
            blocks: Map::default(),
            variations: HashSet::default(),
            newest: [Micros::MIN; 4],
            layouts: Layouts::default(),
            collected: Collected::default(),
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some((json, log)) = lines::unwrapped(line) else {
            // The end of a line whose beginning is lost looks like one of ours.
            let lost = line.trim_ascii_end().ends_with(b"}") && line.contains(&b'"');
            let counts = &mut self.collected.counts;
            *(if lost { &mut counts.broken } else { &mut counts.other }) += 1;
            return;
        };
        let Some(log) = log.or_else(|| lines::log_of(json)) else {
            let counts = &mut self.collected.counts;
            *(if json.ends_with(b"}") { &mut counts.other } else { &mut counts.broken }) += 1;
            return;
        };
        let whole = match log {
            Log::Decisions => self.decision(json),
            Log::Exposures => self.exposure(json),
            Log::Conversions => self.conversion(json),
            Log::Errors => self.error(json),
        };
        let counts = &mut self.collected.counts;
        *(if whole.is_some() { &mut counts.lines } else { &mut counts.broken }) += 1;
    }

    /// Whether a line counts: it is within the time that was asked for, and wasn't read before.
    fn counts(&mut self, log: Log, at: Micros, id: u64) -> bool {
        let newest = match log {
            Log::Decisions => &mut self.newest[0],
            Log::Exposures => &mut self.newest[1],
            Log::Conversions => &mut self.newest[2],
            Log::Errors => &mut self.newest[3],
        };
        let is_late = at < newest.saturating_sub(HOUR);
        *newest = at.max(*newest);
        self.collected.reached = self.collected.reached.max(Some(at));
        let counts = &mut self.collected.counts;
        if self.shared.from.is_some_and(|from| at < from) || self.shared.to.is_some_and(|to| at >= to) {
            counts.outside += 1;
            return false;
        }
        if !self.shared.seen.is_new(id) {
            counts.doubled += 1;
            return false;
        }
        counts.late += u64::from(is_late);
        let (first, last) = self.collected.span.unwrap_or((at, at));
        self.collected.span = Some((first.min(at), last.max(at)));
        true
    }

    fn decision(&mut self, json: &[u8]) -> Option<()> {
        let line: Decision<'_> = members::read(json, &mut self.layouts.decisions).ok()?;
        let at = moment::read(line.time.as_str())?;
        // Without an id nothing tells two requests from one line that came twice.
        let id = match &line.request_id {
            Some(id) => hash(&[b"d", id.as_str().as_bytes(), line.time.as_str().as_bytes(), &[line.pass]]),
            None => hash(&[b"d", json]),
        };
        if self.counts(Log::Decisions, at, id) {
            self.collected.traffic.decision(&line, at, &mut self.names);
        }
        Some(())
    }

    fn error(&mut self, json: &[u8]) -> Option<()> {
        let line: ErrorLine<'_> = members::read(json, &mut self.layouts.errors).ok()?;
        let at = moment::read(line.time.as_str())?;
        if self.counts(Log::Errors, at, hash(&[b"e", json])) {
            self.collected.traffic.error(&line, at, &mut self.names);
        }
        Some(())
    }

    fn exposure(&mut self, json: &[u8]) -> Option<()> {
        let line: Exposure<'_> = members::read(json, &mut self.layouts.exposures).ok()?;
        if line.variation >= MOST_VARIATIONS {
            return None;
        }
        let at = moment::read(line.timestamp.as_str())?;
        if !self.counts(Log::Exposures, at, hash(&[b"x", json])) {
            return Some(());
        }
        self.collected.counts.exposures += 1;
        let revision = self.names.number(or_empty(&line.revision));
        let block = self.block(&line, revision);
        if self.variations.insert((block, line.variation)) {
            let name = self.names.number(line.variation_id.as_str());
            self.collected.variations.insert((block, line.variation), name);
        }
        if !line.shown {
            let reason = self.names.number(or_empty(&line.fallback));
            *self.collected.reasons.entry((block, line.variation, reason)).or_default() += 1;
        }
        let unit = Unit {
            first: at,
            variation: line.variation,
            several: false,
            shown: line.shown,
            fell_back: !line.shown,
            country: self.names.number(or_empty(&line.attributes.country)),
            device: self.names.number(or_empty(&line.attributes.device)),
            revision,
        };
        self.shared.units.expose(block, unit_of(line.unit_id.as_str()), unit);
        Some(())
    }

    fn block(&mut self, line: &Exposure<'_>, revision: Name) -> Block {
        let (experiment, unit_type) = (line.experiment_id.as_str(), line.unit_type.as_str());
        let place = (
            self.names.number(experiment),
            self.names.number(unit_type),
            line.key.as_ref().map(|key| self.names.number(key.as_str())),
            revision,
        );
        *self.blocks.entry(place).or_insert_with(|| {
            let phase = self.shared.rules.phase(or_empty(&line.revision), experiment, unit_type);
            Block { experiment: place.0, unit_type: place.1, key: place.2, phase }
        })
    }

    fn conversion(&mut self, json: &[u8]) -> Option<()> {
        let line: Conversion<'_> = members::read(json, &mut self.layouts.conversions).ok()?;
        let at = moment::read(line.timestamp.as_str())?;
        if !self.counts(Log::Conversions, at, hash(&[b"c", json])) {
            return Some(());
        }
        self.collected.counts.conversions += 1;
        let Some(unit) = &line.unit_id else {
            self.collected.counts.unknown_units += 1;
            return Some(());
        };
        let done = Done {
            unit: unit_of(unit.as_str()),
            at,
            event: self.names.number(line.event.as_str()),
            value: line.value.filter(|value| value.is_finite()),
            currency: self.names.number(or_empty(&line.currency)),
            source: if or_empty(&line.source) == "browser" { Source::Browser } else { Source::Trusted },
        };
        let kind = or_empty(&line.unit_type).as_bytes();
        let id = match &line.event_id {
            Some(id) => event_id(kind, line.event.as_str(), id.as_str(), done.source),
            None => hash(&[b"line", json]),
        };
        self.shared.units.report(id, done);
        Some(())
    }
}

/// What an event is known by, so that it counts once: for each attribute that experiments hash. What a browser says never takes the place
/// of what the origin says.
pub fn event_id(unit_type: &[u8], event: &str, id: &str, source: Source) -> u64 {
    let source: &[u8] = if source == Source::Browser { b"browser" } else { b"" };
    hash(&[b"id", unit_type, event.as_bytes(), id.as_bytes(), source])
}

impl Collected {
    fn merge(&mut self, other: Self) {
        let (own, more) = (&mut self.counts, other.counts);
        own.lines += more.lines;
        own.bytes += more.bytes;
        own.doubled += more.doubled;
        own.broken += more.broken;
        own.late += more.late;
        own.other += more.other;
        own.outside += more.outside;
        own.cut_off += more.cut_off;
        own.exposures += more.exposures;
        own.conversions += more.conversions;
        own.unknown_units += more.unknown_units;
        self.traffic.merge(other.traffic);
        self.variations.extend(other.variations);
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        self.reached = self.reached.max(other.reached);
        self.span = match (self.span, other.span) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
    }
}
