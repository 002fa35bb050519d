//! Pages: `html` operations and visual experiments, while the page streams.

use http::HeaderMap;
use serde_json::Value as Json;

use super::{Answer, Beside, BodyMode, BodyStream, Ended, Planned, Sink, Streams, Transform, Way};
use crate::transform::Fault;
use crate::transform::charset::Charset;
use crate::transform::headers::{LeftAlone, Rewritable, csp_nonce, rewritable};
use crate::transform::html::{Circumstances, Ending, HtmlPlan, HtmlRules, Pages, Splice, SplicedPage, VisualChanges};
use crate::transform::reads::Reads;
use crate::transform::template::Templates;

pub(super) fn compile(
    stored: &[Json],
    templates: &mut Templates,
    faults: &mut Vec<Fault>,
) -> Option<Box<dyn Transform>> {
    // A list without a usable operation still has visual experiments run.
    (!stored.is_empty()).then(|| Box::new(HtmlRules::compile(stored, "/html", templates, faults)) as Box<dyn Transform>)
}

impl Transform for HtmlRules {
    fn reads(&self) -> Reads {
        self.reads()
    }

    fn plan(&self, beside: &mut Beside<'_>) -> Option<Box<dyn Planned>> {
        let request = beside.request;
        let known = request.known();
        let shown = &mut *beside.shown;
        let applies = |operation: &crate::transform::html::Operation| {
            let holds = operation.when().is_none_or(|when| {
                shown.extend(when.reads());
                when.holds(&known, request.groups)
            });
            if holds {
                shown.extend(operation.reads());
            }
            holds
        };
        let mut visual = Vec::with_capacity(request.visual.len());
        for (key, variation) in request.visual {
            visual.push((*key, VisualChanges::compile(variation, &format!("/{key}"), beside.faults)));
        }
        let left: Vec<(String, Vec<Json>)> =
            visual.iter().map(|(key, changes)| ((*key).to_owned(), changes.left().to_vec())).collect();
        let circumstances =
            Circumstances { decisions: Some(request.decisions), nonce: None, handover: request.handover, left: &left };
        let mut plan = self.plan(beside.templates, &beside.facts, circumstances, applies, beside.faults);
        for (key, changes) in &visual {
            beside.shown.add_steps(&["experiment", key]);
            plan.add_visual(changes);
        }
        let asked = request.shaped_by.iter().flat_map(|part| [part, &b"\0"[..]]).flatten().copied();
        let asked = asked.collect();
        (!plan.is_empty()).then(|| Box::new(PlannedPage { plan, asked, splice: Splice::Off }) as Box<dyn Planned>)
    }
}

/// A page that is changed in nothing else than that `html` stands at the start of its body.
pub(super) fn beginning_with(html: &str) -> Box<dyn Planned> {
    let mut plan = HtmlPlan::default();
    plan.begin_body(html);
    Box::new(PlannedPage { plan, asked: Vec::new(), splice: Splice::Off })
}

/// A page's plan, and what the sandbox knows of the page.
#[derive(Debug)]
struct PlannedPage {
    plan: HtmlPlan,
    /// What else shapes the page.
    asked: Vec<u8>,
    splice: Splice,
}

impl Planned for PlannedPage {
    fn begin_body(&mut self, html: &str) -> bool {
        self.plan.begin_body(html);
        true
    }

    fn accepts(&self, answer: &Answer<'_>) -> Result<Charset, LeftAlone> {
        match rewritable(answer.method, answer.status, answer.headers)? {
            Rewritable::Html(charset) => Ok(charset),
            Rewritable::Json => Err(LeftAlone::ContentType),
        }
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.plan.fingerprint().to_vec()
    }

    fn adopt(&mut self, headers: &HeaderMap, charset: Charset, pages: Option<&Pages>) {
        self.plan.adopt_nonce(csp_nonce(headers));
        if let Some(pages) = pages {
            self.splice = Splice::look_up(pages, &self.plan, &self.asked, headers, charset);
        }
    }

    fn way(&self) -> Way<'_> {
        Way::Stream(self)
    }
}

impl Streams for PlannedPage {
    fn start<'s>(
        &'s self,
        mode: BodyMode,
        goes_on: Box<dyn FnMut() -> bool + 's>,
        sink: Sink<'s>,
    ) -> Box<dyn BodyStream + 's> {
        Box::new(SplicedPage::new(&self.plan, &self.splice, mode.charset, goes_on, sink))
    }
}

impl BodyStream for SplicedPage<'_> {
    fn feed(&mut self, chunk: &[u8]) {
        self.write(chunk);
    }

    fn is_passing(&self) -> bool {
        self.is_passing()
    }

    fn end(self: Box<Self>) -> Ended {
        match (*self).end() {
            Ending::Complete => Ended::Complete,
            Ending::Stopped { .. } => Ended::Budget,
            Ending::Failed { .. } => Ended::Failed,
            Ending::Encoding => Ended::Encoding,
        }
    }
}
