//! One body, one way: pages are rewritten while they stream, JSON and playlists are edited whole.
//!
//! A way of changing bodies (a `Transform`) is compiled once a route and resolved once a request, before anything is sent. It then says of
//! an answer whether it is its own, and how it is applied. A new way is a file beside `page`, a line in [`BodyRules::compile`], and its
//! field in the stored route.

use std::fmt;

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value as Json;

use super::Fault;
use super::charset::Charset;
use super::facts::Facts;
use super::headers::{LeftAlone, Version, prepare_request};
use super::html::{Handover, Pages};
use super::media::Adapt;
use super::reads::Reads;
use super::template::Templates;
use super::when::Known;
use crate::attributes::{DeviceClass, NetworkClass};
use crate::condition::{Attributes, Groups};

mod json;
mod page;
mod playlist;

/// What is known of a request when its body is planned.
#[derive(Clone, Copy)]
pub struct BodyRequest<'a> {
    /// What templates, lists and JSON values draw from: one object. Its `feature` and `experiment` are what conditions read as
    /// `feature.<key>` and `experiment.<key>`.
    pub facts: &'a Json,
    /// What conditions read beside.
    pub attributes: &'a dyn Attributes,
    /// What conditions mean by `$inGroup`.
    pub groups: &'a Groups,
    /// What the page's own code may know, for `json` operations.
    pub decisions: &'a Json,
    /// The visual experiments that the visitor is in: key, and value of the variation.
    pub visual: &'a [(&'a str, &'a Json)],
    /// What a page may hand to GrowthBook's bundle; `None` where the visitor takes part in nothing.
    pub handover: Option<Handover<'a>>,
    /// The visitor's device.
    pub device: DeviceClass,
    /// The visitor's connection.
    pub network: NetworkClass,
    /// What else shapes the body: the rules' revision, the variant, backend, path and query. Order counts.
    pub shaped_by: &'a [&'a [u8]],
}

impl BodyRequest<'_> {
    fn known(&self) -> Known<'_> {
        let shown = |name: &str| self.facts.get(name).unwrap_or(&Json::Null);
        Known { attributes: self.attributes, features: shown("feature"), experiments: shown("experiment") }
    }
}

/// A way of changing bodies, as one route has it.
trait Transform: fmt::Debug {
    /// All that it may read.
    fn reads(&self) -> Reads;

    /// Resolves it for one request; `None` where nothing is to be done. `shown` gets what was read to decide so, and what goes into the
    /// body.
    fn plan(&self, beside: &mut Beside<'_>) -> Option<Box<dyn Planned>>;
}

/// What a transform is resolved with.
struct Beside<'a> {
    request: &'a BodyRequest<'a>,
    facts: Facts<'a>,
    templates: &'a Templates,
    shown: &'a mut Reads,
    faults: &'a mut Vec<Fault>,
}

/// A transform, resolved for one request.
trait Planned: fmt::Debug {
    /// Whether an answer is its own; with its encoding, where that matters.
    fn accepts(&self, answer: &Answer<'_>) -> Result<Charset, LeftAlone>;

    /// Bytes that differ where what is done differs.
    fn fingerprint(&self) -> Vec<u8>;

    /// Has `html` stand at the start of a page's body; `false` where it changes no pages.
    fn begin_body(&mut self, _html: &str) -> bool {
        false
    }

    /// Whether the platform is to compress the changed body.
    fn is_compressed(&self) -> bool {
        true
    }

    /// Takes what the answer's own head says; `pages` are those that the sandbox knows, where it may keep this one.
    fn adopt(&mut self, _headers: &HeaderMap, _charset: Charset, _pages: Option<&Pages>) {}

    /// How it is applied.
    fn way(&self) -> Way<'_>;
}

/// An answer's head, as far as it says whether its body can be changed.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: &'a HeaderMap,
}

/// What happens to the body of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyMode {
    /// Which of the plan's transforms.
    place: usize,
    charset: Charset,
    /// Whether the platform is to compress the changed body.
    pub is_compressed: bool,
}

/// How a body is changed.
pub enum Way<'p> {
    /// Chunk by chunk, as it comes.
    Stream(&'p dyn Streams),
    /// Whole: it is read first.
    Whole(&'p dyn Edits),
}

/// Gets bytes that are done.
pub type Sink<'s> = Box<dyn FnMut(&[u8]) + 's>;

/// Changes a body while it streams.
pub trait Streams {
    /// Starts a body. `goes_on` is asked now and then whether there is budget left; `sink` gets the changed bytes.
    fn start<'s>(
        &'s self,
        mode: BodyMode,
        goes_on: Box<dyn FnMut() -> bool + 's>,
        sink: Sink<'s>,
    ) -> Box<dyn BodyStream + 's>;
}

/// A body on its way.
pub trait BodyStream {
    /// Takes a chunk. All that can be said of it so far has gone to the sink on return.
    fn feed(&mut self, chunk: &[u8]);

    /// Whether nothing more will be changed: [`end`](Self::end) it, and send the rest as it comes.
    fn is_passing(&self) -> bool;

    /// Ends the body: what was held back goes to the sink.
    fn end(self: Box<Self>) -> Ended;
}

/// How changing a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All was done.
    Complete,
    /// The budget ran out: the rest went on untouched.
    Budget,
    /// It couldn't be read to its end: the rest went on untouched.
    Failed,
    /// It is in an encoding that can't be changed: it went on untouched.
    Encoding,
}

/// Changes a body that was read whole.
pub trait Edits {
    /// The changed body; `None` where it isn't what its head says: it is sent as it came.
    fn edit(&self, body: &[u8]) -> Option<Vec<u8>>;
}

/// A route's ways of changing bodies.
#[derive(Debug, Default)]
pub struct BodyRules {
    transforms: Vec<Box<dyn Transform>>,
    edits_pages: bool,
    reads: Reads,
}

/// What becomes of one request's body.
#[derive(Debug)]
pub struct BodyPlan {
    planned: Vec<Box<dyn Planned>>,
    /// What the body is changed with: for `ETag`s.
    pub version: Version,
    pages: Option<Pages>,
}

/// A plan, and what it is made of.
#[derive(Debug, Default)]
pub struct PlannedBody {
    /// `None` where the body streams through untouched.
    pub plan: Option<BodyPlan>,
    /// What is shown of the facts: what goes into the body, and what decided about it, in favour or against.
    pub shown: Reads,
}

impl BodyRules {
    /// Compiles a route's `html`, `json` and `adapt`; what can't be used is left out and named, with pointers within the route.
    pub fn compile(
        html: &[Json],
        json: Option<&Json>,
        adapt: Option<&Adapt>,
        templates: &mut Templates,
    ) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        // The first that takes an answer gets it.
        let transforms: Vec<Box<dyn Transform>> = [
            playlist::compile(adapt),
            page::compile(html, templates, &mut faults),
            json::compile(json, templates, &mut faults),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut reads = Reads::new();
        transforms.iter().for_each(|transform| reads.extend(&transform.reads()));
        (Self { transforms, edits_pages: !html.is_empty(), reads }, faults)
    }

    /// Whether all bodies stream through untouched.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty()
    }

    /// Whether pages are rewritten: then visual experiments run, too.
    pub fn edits_pages(&self) -> bool {
        self.edits_pages
    }

    /// All that the operations, values and conditions may read: what has to be known before [`plan`](Self::plan).
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Resolves the operations for one request. One whose values can't be rendered is left out and named.
    pub fn plan(&self, templates: &Templates, request: &BodyRequest<'_>, faults: &mut Vec<Fault>) -> PlannedBody {
        let mut shown = Reads::new();
        let mut beside = Beside { request, facts: Facts::new(request.facts), templates, shown: &mut shown, faults };
        let planned: Vec<_> = self.transforms.iter().filter_map(|transform| transform.plan(&mut beside)).collect();
        if planned.is_empty() {
            return PlannedBody { plan: None, shown };
        }
        let fingerprints: Vec<Vec<u8>> = planned.iter().map(|planned| planned.fingerprint()).collect();
        let parts = request.shaped_by.iter().copied().chain(fingerprints.iter().map(Vec::as_slice));
        let plan = BodyPlan { version: Version::new(parts), planned, pages: None };
        PlannedBody { plan: Some(plan), shown }
    }
}

impl BodyPlan {
    /// The same where `html` (markup) also stands at the start of a page's body, if it has a `<body>`. `shaped_by`: what else shapes the
    /// answer; order counts.
    #[must_use]
    pub fn beginning_with(plan: Option<Self>, html: &str, shaped_by: &[&[u8]]) -> Self {
        let mut planned = plan.map(|plan| plan.planned).unwrap_or_default();
        let is_there = planned.iter_mut().any(|planned| planned.begin_body(html));
        if !is_there {
            planned.push(page::beginning_with(html));
        }
        let fingerprints: Vec<Vec<u8>> = planned.iter().map(|planned| planned.fingerprint()).collect();
        let version = Version::new(shaped_by.iter().copied().chain(fingerprints.iter().map(Vec::as_slice)));
        Self { planned, version, pages: None }
    }

    /// Makes a request one whose answer can be changed.
    pub fn prepare(&self, method: &Method, headers: &mut HeaderMap) {
        prepare_request(method, headers, &self.version);
    }

    /// What happens to an answer's body.
    ///
    /// # Errors
    ///
    /// Why nothing does.
    pub fn mode(&self, answer: &Answer<'_>) -> Result<BodyMode, LeftAlone> {
        let mut reason = LeftAlone::ContentType;
        for (place, planned) in self.planned.iter().enumerate() {
            match planned.accepts(answer) {
                Ok(charset) => return Ok(BodyMode { place, charset, is_compressed: planned.is_compressed() }),
                // The reason of the one that would have taken it says most.
                Err(LeftAlone::ContentType) => {}
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    /// Where pages are looked for, and kept; without it, they are parsed.
    pub fn keep_in(&mut self, pages: &Pages) {
        self.pages = Some(pages.clone());
    }

    /// Takes what the answer's own head says, once its mode is known: the nonce for elements that are added, and whether the page is known.
    pub fn adopt(&mut self, mode: BodyMode, headers: &HeaderMap) {
        if let Some(planned) = self.planned.get_mut(mode.place) {
            planned.adopt(headers, mode.charset, self.pages.as_ref());
        }
    }

    /// How a body of this mode is changed; `None` for a mode of another plan.
    pub fn way(&self, mode: BodyMode) -> Option<Way<'_>> {
        self.planned.get(mode.place).map(|planned| planned.way())
    }
}
