//! Members of an object that are written twice: every parser takes one of them in silence.

use super::Checked;
use super::compile::escape;

impl Checked<'_> {
    /// Names keys that stand twice in one object, a feature's or a template's name among them.
    pub(super) fn repeated(&mut self) {
        for (name, source) in &self.folder.dictionaries {
            if source.json.is_ok() {
                for pointer in repeated(&source.text) {
                    let key = pointer.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
                    let message = format!("expected a name of its own, but found '{key}' twice: one of them is lost");
                    self.fault(name, pointer, message);
                }
            }
        }
    }
}

/// The pointers of keys that are repeated, in a text that is JSON.
fn repeated(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Walk { pointer: String::new(), found: &mut found };
    // It was parsed before: there is nothing left to go wrong.
    let _ = serde::de::DeserializeSeed::deserialize(seed, &mut reader);
    found
}

struct Walk<'f> {
    pointer: String,
    found: &'f mut Vec<String>,
}

impl<'de> serde::de::DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> serde::de::Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let pointer = format!("{}/{}", self.pointer, escape(&key));
            if !keys.insert(key) {
                self.found.push(pointer.clone());
            }
            map.next_value_seed(Walk { pointer, found: &mut *self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        while list
            .next_element_seed(Walk { pointer: format!("{}/{index}", self.pointer), found: &mut *self.found })?
            .is_some()
        {
            index += 1;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_found_where_it_stands() {
        let text = r#"{"a":{"b":1,"b/c":[{"d":null,"d":true}],"b":-2.5},"e":"x","b":1}"#;
        assert_eq!(repeated(text), ["/a/b~1c/0/d", "/a/b"]);
        assert!(repeated("[1, [2], {}]").is_empty());
    }
}
