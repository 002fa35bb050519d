//! One member of a JSON text set, and every other byte of the text left as somebody wrote it.

use edge_personalizer::json_place::token;

use crate::span;

/// Sets the member `key` of the object at `object` (JSON pointer) to `json`. A new one is put behind the member `behind`, spaced as that
/// one is.
///
/// Gives `None` where the object, or `behind`, isn't there.
pub fn set(text: &str, object: &str, key: &str, json: &str, behind: &str) -> Option<String> {
    let pointer = |key: &str| format!("{object}/{}", token(key));
    if let Some(found) = span::member(text, &pointer(key)) {
        return Some([text.get(..found.value)?, json, text.get(found.end..)?].concat());
    }
    let neighbour = span::member(text, &pointer(behind))?;
    let before = text.get(..neighbour.key)?;
    let space = before.get(before.trim_end().len()..)?;
    let colon = if text.get(neighbour.key..neighbour.value)?.ends_with(' ') { ": " } else { ":" };
    let name = serde_json::Value::from(key).to_string();
    Some([text.get(..neighbour.end)?, ",", space, &name, colon, json, text.get(neighbour.end..)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_replaced_where_it_stands() {
        let text = "{ \"a\": [1,\n 2] , \"b\":3}";
        assert_eq!(set(text, "", "a", "[]", "b").unwrap(), "{ \"a\": [] , \"b\":3}");
    }

    #[test]
    fn a_new_member_is_spaced_as_its_neighbour() {
        assert_eq!(set(r#"{"a":1,"c":2}"#, "", "b", "0", "a").unwrap(), r#"{"a":1,"b":0,"c":2}"#);
        assert_eq!(set("{\n  \"a\": 1\n}", "", "b", "0", "a").unwrap(), "{\n  \"a\": 1,\n  \"b\": 0\n}");
        assert_eq!(
            set(r#"{ "x/y": [ { "a": 1 } ] }"#, "/x~1y/0", "b", "0", "a").unwrap(),
            r#"{ "x/y": [ { "a": 1, "b": 0 } ] }"#
        );
    }

    #[test]
    fn without_a_neighbour_nothing_is_set() {
        assert_eq!(set("{}", "", "b", "0", "a"), None);
        assert_eq!(set("[", "/0", "b", "0", "a"), None);
    }
}
