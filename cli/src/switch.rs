//! The switch for everything. It must work whatever else is broken: nothing but the pointer is looked at.

use edge_personalizer::rules::pointer::Pointer;
use serde_json::{Map, Value};

use crate::output::note;
use crate::rollout::point;
use crate::target::Target;

/// Sets `enabled`, and leaves every other key of the pointer as it is. Gives the pointer before and after.
pub fn turn(target: &mut dyn Target, entry: &str, enabled: bool) -> anyhow::Result<(Pointer, Pointer)> {
    let text = target.entries()?.remove(entry).unwrap_or_else(|| "{}".to_owned());
    let fields = serde_json::from_str::<Map<String, Value>>(&text);
    if fields.is_err() {
        note(&format!("{entry}: the pointer wasn't JSON, and is written anew: {text}"));
    }
    let mut fields = fields.unwrap_or_default();
    let before = read(&fields);
    fields.insert("enabled".to_owned(), enabled.into());
    let after = read(&fields);
    match serde_json::from_value(Value::Object(fields.clone())) {
        Ok(pointer) => point(target, entry, &pointer)?,
        // Keys that make no sense are somebody's to mend, not ours to lose.
        Err(_) => target.put(&[(entry.to_owned(), Value::Object(fields).to_string())])?,
    }
    Ok((before, after))
}

fn read(fields: &Map<String, Value>) -> Pointer {
    let whole = Value::Object(fields.clone());
    let lenient = || Pointer::read("active", &whole.to_string(), &mut Vec::new()).unwrap_or_default();
    serde_json::from_value(whole.clone()).unwrap_or_else(|_| lenient())
}
