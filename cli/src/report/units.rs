//! Who was assigned which variation first, and what they did later: by pseudonym, in bounded memory.
//!
//! A pseudonym is the output of an HMAC. So the units whose first bits are 0 are a fair sample of all, and the same one in every log.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::moment::Micros;
use super::names::Name;
use super::seen::{Map, hash};

/// Readers seldom want the same part.
const PARTS: u64 = 64;

/// An experiment, as far as its figures may be put together: by one attribute, under one log key, in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// Its key.
    pub experiment: Name,
    /// Which attribute was hashed.
    pub unit_type: Name,
    /// The log key's id; `None` in version 1.
    pub key: Option<Name>,
    /// Revisions of the same seed, hash version, weights and keys of variations (`super::rules`).
    pub phase: u32,
}

/// A visitor's first exposure, and what came of all.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// When.
    pub first: Micros,
    /// The variation's index.
    pub variation: u16,
    /// Another variation was seen as well.
    pub several: bool,
    /// At least once the answer came as it was decided.
    pub shown: bool,
    /// At least once it didn't.
    pub fell_back: bool,
    /// The country, where the line has it.
    pub country: Name,
    /// The device class.
    pub device: Name,
    /// The revision.
    pub revision: Name,
}

/// Where a conversion was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// By the origin, a route, or a file of orders.
    Trusted,
    /// By a browser.
    Browser,
}

/// Something that a visitor did.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Who.
    pub unit: u128,
    /// When.
    pub at: Micros,
    /// What.
    pub event: Name,
    /// What it was worth.
    pub value: Option<f64>,
    /// In which money; an empty text where nothing is said.
    pub currency: Name,
    /// Who says so.
    pub source: Source,
}

/// The units of each experiment, in the order of their pseudonyms.
pub type Blocks = HashMap<Block, Vec<(u128, Unit)>>;

/// All units and what they did, shared by those who read.
#[derive(Debug)]
pub struct Units {
    units: Vec<Mutex<Map<(Block, u128), Unit>>>,
    done: Vec<Mutex<Map<u64, Done>>>,
    /// How many first bits of a pseudonym have to be 0.
    bits: AtomicU32,
    held: AtomicUsize,
    most: usize,
    no_currency: Name,
    shrinking: Mutex<()>,
    repeated: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pseudonym as a number. Of a text that is none, a hash.
pub fn unit_of(text: &str) -> u128 {
    if text.len() == 32
        && let Ok(number) = u128::from_str_radix(text, 16)
    {
        return number;
    }
    (u128::from(hash(&[text.as_bytes()])) << 64) | u128::from(hash(&[b"unit", text.as_bytes()]))
}

impl Units {
    /// Holds `most` entries at most: units and conversions together. `no_currency` is the name of an empty text.
    pub fn new(most: usize, no_currency: Name) -> Self {
        Self {
            units: (0..PARTS).map(|_| Mutex::default()).collect(),
            done: (0..PARTS).map(|_| Mutex::default()).collect(),
            bits: AtomicU32::new(0),
            held: AtomicUsize::new(0),
            most: most.max(1_000),
            no_currency,
            shrinking: Mutex::new(()),
            repeated: AtomicUsize::new(0),
        }
    }

    fn keeps(&self, unit: u128) -> bool {
        let bits = self.bits.load(Ordering::Relaxed);
        bits == 0 || unit.leading_zeros() >= bits
    }

    /// The share of units that is kept: 1, or a half, a quarter, ….
    pub fn share(&self) -> f64 {
        0.5_f64.powi(i32::try_from(self.bits.load(Ordering::Relaxed)).unwrap_or_default())
    }

    /// Events that came again under their id.
    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Adds an exposure of a unit. `fact` has what is known if it is its first.
    pub fn expose(&self, block: Block, unit: u128, fact: Unit) {
        let part = usize::try_from(unit as u64 % PARTS).ok().and_then(|part| self.units.get(part));
        let Some(part) = part.filter(|_| self.keeps(unit)) else { return };
        let mut part = lock(part);
        let mut is_new = false;
        let known = part.entry((block, unit)).or_insert_with(|| {
            is_new = true;
            fact
        });
        let several = known.several || known.variation != fact.variation;
        let (shown, fell_back) = (known.shown || fact.shown, known.fell_back || fact.fell_back);
        if (fact.first, fact.variation) < (known.first, known.variation) {
            *known = fact;
        }
        *known = Unit { several, shown, fell_back, ..*known };
        drop(part);
        if is_new {
            self.grown();
        }
    }

    /// Adds something done, under the hash of its id. The first of an id counts; what it leaves open of value and currency, another one may
    /// say.
    pub fn report(&self, id: u64, done: Done) {
        let part = usize::try_from(id % PARTS).ok().and_then(|part| self.done.get(part));
        let Some(part) = part.filter(|_| self.keeps(done.unit)) else { return };
        let mut part = lock(part);
        match part.get_mut(&id) {
            Some(known) => {
                self.repeated.fetch_add(1, Ordering::Relaxed);
                let (first, other) =
                    if (done.at, done.unit) < (known.at, known.unit) { (done, *known) } else { (*known, done) };
                let is_open = first.currency == self.no_currency;
                let currency = if is_open { other.currency } else { first.currency };
                *known = Done { value: first.value.or(other.value), currency, ..first };
            }
            None => {
                part.insert(id, done);
                drop(part);
                self.grown();
            }
        }
    }

    /// Forgets every second unit where there are too many.
    fn grown(&self) {
        if self.held.fetch_add(1, Ordering::Relaxed) < self.most {
            return;
        }
        let _alone = lock(&self.shrinking);
        if self.held.load(Ordering::Relaxed) < self.most {
            return;
        }
        self.bits.fetch_add(1, Ordering::Relaxed);
        let mut held = 0;
        for part in &self.units {
            let mut part = lock(part);
            part.retain(|(_, unit), _| self.keeps(*unit));
            held += part.len();
        }
        for part in &self.done {
            let mut part = lock(part);
            part.retain(|_, done| self.keeps(done.unit));
            held += part.len();
        }
        self.held.store(held, Ordering::Relaxed);
    }

    /// Everything that was held: units by block, and what was done in the order of units and times.
    pub fn taken(self) -> (Blocks, Vec<Done>) {
        let bits = self.bits.load(Ordering::Relaxed);
        let mut blocks = Blocks::new();
        for part in self.units {
            for ((block, number), unit) in part.into_inner().unwrap_or_else(PoisonError::into_inner) {
                // Some reader may have added it while another one shrank the rest.
                if number.leading_zeros() >= bits {
                    blocks.entry(block).or_default().push((number, unit));
                }
            }
        }
        for units in blocks.values_mut() {
            units.sort_unstable_by_key(|(unit, _)| *unit);
        }
        let parts = self.done.into_iter().flat_map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut done: Vec<Done> =
            parts.map(|(_, done)| done).filter(|done| done.unit.leading_zeros() >= bits).collect();
        done.sort_unstable_by(|a, b| {
            let value = |done: &Done| done.value.map_or(0, f64::to_bits);
            (a.unit, a.at, a.event, value(a)).cmp(&(b.unit, b.at, b.event, value(b)))
        });
        (blocks, done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Block = Block { experiment: 1, unit_type: 2, key: None, phase: 0 };

    fn unit(first: Micros, variation: u16) -> Unit {
        Unit { first, variation, several: false, shown: true, fell_back: false, country: 0, device: 0, revision: 0 }
    }

    #[test]
    fn the_first_exposure_counts_in_any_order_of_lines() {
        for times in [[5, 9, 7], [9, 7, 5]] {
            let units = Units::new(1_000, 0);
            for time in times {
                units.expose(BLOCK, 1, unit(time, if time == 5 { 1 } else { 0 }));
            }
            let (blocks, _) = units.taken();
            let found = blocks[&BLOCK][0].1;
            assert_eq!((found.first, found.variation, found.several), (5, 1, true));
        }
    }

    #[test]
    fn an_order_counts_once() {
        let units = Units::new(1_000, 0);
        let done = |at| Done { unit: 1, at, event: 0, value: Some(1.0), currency: 0, source: Source::Trusted };
        for at in [3, 2, 4] {
            units.report(77, done(at));
        }
        assert_eq!(units.repeated(), 2);
        let (_, found) = units.taken();
        assert_eq!((found.len(), found[0].at), (1, 2));
    }

    #[test]
    fn an_order_keeps_the_currency_that_one_of_its_reports_names() {
        const EUR: Name = 7;
        for order in [[0, 1], [1, 0]] {
            let units = Units::new(1_000, 0);
            let log = Done { unit: 1, at: 5, event: 0, value: Some(60.0), currency: EUR, source: Source::Trusted };
            let both = [log, Done { at: 2, value: None, currency: 0, ..log }];
            for index in order {
                units.report(77, both[index]);
            }
            let (_, found) = units.taken();
            assert_eq!((found[0].at, found[0].value, found[0].currency), (2, Some(60.0), EUR), "{order:?}");
        }
    }

    #[test]
    fn too_many_units_become_a_fair_share() {
        let units = Units::new(1_000, 0);
        for number in 0..20_000_u32 {
            units.expose(BLOCK, unit_of(&format!("{number}")), unit(1, (number % 2) as u16));
        }
        let share = units.share();
        let (blocks, _) = units.taken();
        let kept = blocks[&BLOCK].len();
        assert!(kept <= 1_000 && share < 0.1, "{kept} {share}");
        assert!((kept as f64 / share / 20_000.0 - 1.0).abs() < 0.2, "{kept} {share}");
    }

    #[test]
    fn a_pseudonym_is_its_number() {
        assert_eq!(unit_of("0000000000000000000000000000000a"), 10);
        assert_ne!(unit_of("anna"), unit_of("bert"));
    }
}
