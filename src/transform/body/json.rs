//! JSON answers: `json` edits, once the answer is read whole.

use std::rc::Rc;

use serde_json::Value as Json;

use super::{Answer, Beside, Edits, Planned, Transform, Way};
use crate::transform::Fault;
use crate::transform::charset::Charset;
use crate::transform::headers::{LeftAlone, Rewritable, rewritable};
use crate::transform::json::{JsonRules, JsonValues};
use crate::transform::reads::Reads;
use crate::transform::template::Templates;

/// One request's edits.
#[derive(Debug)]
struct JsonPlan {
    rules: Rc<JsonRules>,
    values: JsonValues,
}

pub(super) fn compile(
    stored: Option<&Json>,
    templates: &mut Templates,
    faults: &mut Vec<Fault>,
) -> Option<Box<dyn Transform>> {
    let rules = JsonRules::compile(stored?, "/json", templates, faults);
    (!rules.is_empty()).then(|| Box::new(Rc::new(rules)) as Box<dyn Transform>)
}

impl Transform for Rc<JsonRules> {
    fn reads(&self) -> Reads {
        (**self).reads()
    }

    fn plan(&self, beside: &mut Beside<'_>) -> Option<Box<dyn Planned>> {
        beside.shown.extend(&(**self).reads());
        let values = self.resolve(beside.templates, &beside.facts, beside.faults);
        Some(Box::new(JsonPlan { rules: Rc::clone(self), values }))
    }
}

impl Planned for JsonPlan {
    fn accepts(&self, answer: &Answer<'_>) -> Result<Charset, LeftAlone> {
        match rewritable(answer.method, answer.status, answer.headers)? {
            Rewritable::Json => Ok(Charset::utf_8()),
            Rewritable::Html(_) => Err(LeftAlone::ContentType),
        }
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.values.fingerprint()
    }

    fn way(&self) -> Way<'_> {
        Way::Whole(self)
    }
}

impl Edits for JsonPlan {
    fn edit(&self, body: &[u8]) -> Option<Vec<u8>> {
        self.rules.edit(body, &self.values).ok().map(|(edited, _)| edited)
    }
}
