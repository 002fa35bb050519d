//! Pages: `html` operations and visual experiments, while the page streams.

use http::HeaderMap;
use serde_json::Value as Json;

use super::{Answer, Beside, BodyMode, BodyStream, Ended, Planned, Sink, Streams, Transform, Way};
use crate::transform::Fault;
use crate::transform::charset::Charset;
use crate::transform::headers::{LeftAlone, Rewritable, csp_nonce, rewritable};
use crate::transform::html::{Circumstances, Ending, HtmlPlan, HtmlRewriter, HtmlRules, VisualChanges};
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
        let circumstances = Circumstances { decisions: Some(request.decisions), nonce: None };
        let mut plan = self.plan(beside.templates, &beside.facts, circumstances, applies, beside.faults);
        for (key, variation) in request.visual {
            beside.shown.add_steps(&["experiment", key]);
            plan.add_visual(&VisualChanges::compile(variation, &format!("/{key}"), beside.faults));
        }
        (!plan.is_empty()).then(|| Box::new(plan) as Box<dyn Planned>)
    }
}

/// A page that is changed in nothing else than that `html` stands at the start of its body.
pub(super) fn beginning_with(html: &str) -> Box<dyn Planned> {
    let mut plan = HtmlPlan::default();
    plan.begin_body(html);
    Box::new(plan)
}

impl Planned for HtmlPlan {
    fn begin_body(&mut self, html: &str) -> bool {
        self.begin_body(html);
        true
    }

    fn accepts(&self, answer: &Answer<'_>) -> Result<Charset, LeftAlone> {
        match rewritable(answer.method, answer.status, answer.headers)? {
            Rewritable::Html(charset) => Ok(charset),
            Rewritable::Json => Err(LeftAlone::ContentType),
        }
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.fingerprint().to_vec()
    }

    fn adopt(&mut self, headers: &HeaderMap) {
        self.adopt_nonce(csp_nonce(headers));
    }

    fn way(&self) -> Way<'_> {
        Way::Stream(self)
    }
}

impl Streams for HtmlPlan {
    fn start<'s>(
        &'s self,
        mode: BodyMode,
        goes_on: Box<dyn FnMut() -> bool + 's>,
        sink: Sink<'s>,
    ) -> Box<dyn BodyStream + 's> {
        Box::new(HtmlRewriter::new(self, sink).charset(mode.charset).budget(goes_on))
    }
}

impl<S: FnMut(&[u8])> BodyStream for HtmlRewriter<'_, S> {
    fn feed(&mut self, chunk: &[u8]) {
        self.write(chunk);
    }

    fn is_passing(&self) -> bool {
        self.is_passing()
    }

    fn end(self: Box<Self>) -> Ended {
        match (*self).end().ending {
            Ending::Complete => Ended::Complete,
            Ending::Stopped { .. } => Ended::Budget,
            Ending::Failed { .. } => Ended::Failed,
            Ending::Encoding => Ended::Encoding,
        }
    }
}
