//! Places in JSON as JSON pointers, for messages that name the place of a fault: how a key is written, and where a parser stopped.
//!
//! Tracking the path while parsing would compile every shape a second time (some 270 kB of the wasm); a fault is rare enough to look
//! for its place afterwards.

/// A key as one step of a JSON pointer, escaped (RFC 6901 section 3).
#[must_use]
pub fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The JSON pointer (RFC 6901) of the value that a parser had begun last when it stopped at `line` and `column` (both from 1, the column
/// in bytes, as serde_json counts them).
pub fn pointer_at(text: &str, line: usize, column: usize) -> String {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = before.saturating_add(column).min(text.len());
    let bytes = text.as_bytes();
    let mut walk = Walk::default();
    let mut at = 0;
    while at < end {
        let Some(byte) = bytes.get(at) else { break };
        at = match byte {
            b'"' => {
                let close = string_end(bytes, at);
                walk.string(text.get(at..close).unwrap_or_default());
                close
            }
            b'{' | b'[' => {
                walk.open(*byte == b'{');
                at + 1
            }
            b'}' | b']' => {
                walk.close();
                at + 1
            }
            b':' => {
                walk.expects_key = false;
                at + 1
            }
            b',' => {
                walk.comma();
                at + 1
            }
            b' ' | b'\n' | b'\r' | b'\t' => at + 1,
            _ => {
                walk.last = walk.path();
                let scalar = |byte: &&u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                at + bytes.get(at..).unwrap_or_default().iter().take_while(scalar).count().max(1)
            }
        };
    }
    // A parser that expects a scalar stops in front of the list or object that stands there instead.
    let next = bytes.get(at..).unwrap_or_default().iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(next, Some(b'{' | b'[')) {
        walk.last = walk.path();
    }
    walk.last
}

#[derive(Default)]
struct Walk {
    /// The step into each open object (a key) or array (an index).
    steps: Vec<Step>,
    expects_key: bool,
    last: String,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Walk {
    fn path(&self) -> String {
        self.steps.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) => path + "/" + &token(key),
            Step::Index(index) => format!("{path}/{index}"),
        })
    }

    fn string(&mut self, quoted: &str) {
        if self.expects_key {
            let key = serde_json::from_str(quoted).unwrap_or_default();
            if let Some(step) = self.steps.last_mut() {
                *step = Step::Key(key);
            }
        }
        self.last = self.path();
    }

    fn open(&mut self, is_object: bool) {
        self.last = self.path();
        self.steps.push(if is_object { Step::Key(String::new()) } else { Step::Index(0) });
        self.expects_key = is_object;
    }

    fn close(&mut self) {
        self.steps.pop();
        self.expects_key = false;
        self.last = self.path();
    }

    fn comma(&mut self) {
        match self.steps.last_mut() {
            Some(Step::Index(index)) => *index += 1,
            Some(Step::Key(_)) => self.expects_key = true,
            None => {}
        }
    }
}

/// The end of the string that opens at `at`, its closing quote included.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    while let Some(byte) = bytes.get(next) {
        match byte {
            b'"' => return next + 1,
            b'\\' => next += 2,
            _ => next += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    struct Rule {
        #[serde(default)]
        list: Vec<u32>,
        #[serde(default, rename = "a/b")]
        inner: Option<Box<Rule>>,
    }

    fn place(text: &str) -> String {
        let error = serde_json::from_str::<Rule>(text).err().unwrap();
        pointer_at(text, error.line(), error.column())
    }

    #[test]
    fn the_value_that_does_not_fit_is_named() {
        assert_eq!(place(r#"{"list":[1,2,"x"]}"#), "/list/2");
        assert_eq!(place("{\"list\": [1],\n \"a/b\": {\"list\": [ {\"q\": 1} ]}}"), "/a~1b/list/0");
        assert_eq!(place(r#"{"a/b":{"list":true}, "x": 1}"#), "/a~1b/list");
        assert_eq!(place(r#"[]x"#), "");
    }

    #[test]
    fn half_a_text_and_odd_ones_have_a_place_too() {
        for text in ["", "{", "[", "{\"a", "{\"a\\", "nul", "}}}", "{\"a\":,", "\"\\", "é{"] {
            for line in 0..3 {
                for column in 0..12 {
                    let _ = pointer_at(text, line, column);
                }
            }
        }
    }
}
