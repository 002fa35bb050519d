//! What may have been: every way in which what isn't known can have been, one after the other.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use crate::condition::Oracle;
use crate::growthbook::{Interval, Seed};

/// One answer that was given in place of the visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The attribute that it is about.
    pub about: String,
    /// What was asked.
    pub question: String,
    /// The answer, from 0.
    pub answer: usize,
    /// How many answers there are.
    pub options: usize,
}

/// Which of the two rule sets is asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Asking {
    /// The one that decided the line.
    #[default]
    From,
    /// The other.
    To,
}

/// What of the answers of one rule set is true for the other as well.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// Attributes that the other set reads in another way: it learns nothing of them from this line.
    pub apart: BTreeSet<String>,
    /// Whether the groups that conditions name are the same.
    pub groups: bool,
}

/// Answers the questions of one line: the same question is answered once, and each run answers otherwise than those before.
#[derive(Debug)]
pub struct Worlds {
    shared: Shared,
    /// Whether the line says that there is an `id`.
    has_id: bool,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    asking: Asking,
    script: Vec<usize>,
    trail: Vec<Choice>,
    answers: HashMap<String, usize>,
    /// Where the bucket of a seed can still be: ranges, closed below and open above.
    buckets: HashMap<String, Vec<(u32, u32)>>,
}

impl Worlds {
    /// Nothing has been asked.
    pub fn new(shared: Shared, has_id: bool) -> Self {
        Self { shared, has_id, state: RefCell::default() }
    }

    /// Who asks from now on.
    pub fn ask_for(&self, asking: Asking) {
        self.state.borrow_mut().asking = asking;
    }

    /// The answers of this run, in their order.
    pub fn trail(&self) -> Vec<Choice> {
        self.state.borrow().trail.clone()
    }

    /// Begins the next run; `false` where every answer was tried.
    pub fn next(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let mut script: Vec<(usize, usize)> =
            state.trail.iter().map(|choice| (choice.answer, choice.options)).collect();
        while script.pop_if(|(answer, options)| *answer + 1 >= *options).is_some() {}
        let mut script: Vec<usize> = script.into_iter().map(|(answer, _)| answer).collect();
        let Some(last) = script.last_mut() else { return false };
        *last += 1;
        *state = State { script, ..State::default() };
        true
    }

    /// The question as it is remembered: what one set learns is true for the other as well, unless they read it in another way.
    fn key(&self, state: &State, about: &str, question: &str) -> String {
        let apart = self.shared.apart.contains(about) || (!self.shared.groups && question.contains("InGroup"));
        let side = if apart && state.asking == Asking::To { "to" } else { "" };
        format!("{side}\n{about}\n{question}")
    }

    fn choose(state: &mut State, about: &str, question: &str, options: usize) -> usize {
        let answer = state.script.get(state.trail.len()).copied().unwrap_or_default();
        state.trail.push(Choice { about: about.to_owned(), question: question.to_owned(), answer, options });
        answer
    }
}

impl Oracle for Worlds {
    fn answer(&self, about: &str, question: &str, options: usize) -> usize {
        let mut state = self.state.borrow_mut();
        let is_apart = state.asking == Asking::To && self.shared.apart.contains(about);
        if about == "id" && self.has_id && !is_apart && matches!(question, "is there" | "may take part") {
            return 1;
        }
        let key = self.key(&state, about, question);
        if let Some(known) = state.answers.get(&key) {
            return *known;
        }
        let answer = Self::choose(&mut state, about, question, options);
        state.answers.insert(key, answer);
        answer
    }

    fn is_in(&self, about: &str, seed: &Seed, interval: Interval) -> bool {
        let mut state = self.state.borrow_mut();
        let key = self.key(&state, about, &format!("{seed:?}"));
        let possible = state.buckets.get(&key).cloned().unwrap_or_else(|| vec![(0, seed.buckets())]);
        let (from, to) = interval.bounds();
        let within: Vec<(u32, u32)> = possible.iter().map(|(a, b)| (*a.max(&from), *b.min(&to))).collect();
        let before = possible.iter().map(|(a, b)| (*a, *b.min(&from)));
        let without: Vec<(u32, u32)> = before.chain(possible.iter().map(|(a, b)| (*a.max(&to), *b))).collect();
        let filled = |ranges: Vec<(u32, u32)>| -> Vec<(u32, u32)> {
            ranges.into_iter().filter(|(from, to)| from < to).collect()
        };
        let (within, without) = (filled(within), filled(without));
        let is_in = match (within.is_empty(), without.is_empty()) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => {
                let question = format!("is in buckets {from} to {to} of {}", seed.buckets());
                Self::choose(&mut state, about, &question, 2) == 1
            }
        };
        state.buckets.insert(key, if is_in { within } else { without });
        is_in
    }
}

/// One run: what was answered to each question, and what came of it.
pub type Run<T> = (Vec<Choice>, T);

/// The attributes on which it depends how it came out: `runs` are answers and outcome of each run that agrees with the line.
pub fn matter<T: PartialEq>(runs: &[Run<T>]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let all: Vec<&Run<T>> = runs.iter().collect();
    divide(&all, 0, &mut found);
    found
}

/// All runs of `runs` have given the same answers before `depth`, and so have the same question there.
fn divide<T: PartialEq>(runs: &[&Run<T>], depth: usize, found: &mut BTreeSet<String>) {
    let Some((_, first)) = runs.first() else { return };
    if runs.iter().all(|(_, outcome)| outcome == first) {
        return;
    }
    let mut groups: Vec<(usize, Vec<&Run<T>>)> = Vec::new();
    for run in runs {
        let Some(choice) = run.0.get(depth) else { return };
        match groups.iter_mut().find(|(answer, _)| *answer == choice.answer) {
            Some((_, group)) => group.push(run),
            None => groups.push((choice.answer, vec![run])),
        }
    }
    let alike = |one: &[&Run<T>], other: &[&Run<T>]| {
        one.iter().all(|(_, outcome)| other.iter().any(|(_, same)| same == outcome))
    };
    let (Some((_, one)), about) = (groups.first(), runs.first().and_then(|run| run.0.get(depth))) else { return };
    if let Some(choice) = about
        && !groups.iter().all(|(_, other)| alike(one, other) && alike(other, one))
    {
        found.insert(choice.about.clone());
    }
    for (_, group) in &groups {
        divide(group, depth + 1, found);
    }
}
