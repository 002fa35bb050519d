//! Any text as a template: no panic, an end, and no value that leaves its place.

use edge_personalizer::transform::facts::Facts;
use edge_personalizer::transform::template::{Content, Kind, Templates};
use serde_json::json;

/// One input.
pub fn run(source: &str) {
    // What would end text, an attribute, a script or a comment, between characters that no template holds.
    let facts = json!({"v": ".\u{e000}<\u{e000}\"\u{e000}'\u{e000}>\u{e000}.", "xs": [1, ".\u{e000}<\u{e000}."], "o": {"a": null}});
    let mut templates = Templates::new([]);
    let content = Content::Inline(source.to_owned());
    for kind in [Kind::Html, Kind::Attribute("href".to_owned()), Kind::Text] {
        let Ok(template) = templates.compile(&content, kind.clone()) else { continue };
        let Ok(out) = templates.render(&template, &Facts::new(&facts)) else { continue };
        if kind == Kind::Html && !source.contains('\u{e000}') {
            // An apostrophe is nothing special in a script's JSON.
            let is_scripted = source.to_ascii_lowercase().contains("<script");
            let ends = ["\u{e000}<\u{e000}", "\u{e000}\"\u{e000}", "\u{e000}>\u{e000}", "\u{e000}'\u{e000}"];
            for ends in ends.iter().take(if is_scripted { 3 } else { 4 }) {
                assert!(!out.contains(*ends), "{out}");
            }
        }
        if matches!(kind, Kind::Attribute(_)) {
            assert!(!out.to_ascii_lowercase().starts_with("javascript:"), "{out}");
        }
    }
}
