//! Replies of Redis, in both versions of its protocol.

use redis::Value;

use crate::sessions::feed::source::Backlog;

/// An entry's fields, in their order; Redis takes any bytes.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// An entry that was delivered to this consumer.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivered {
    pub id: String,
    /// None: it was trimmed from the stream while it was pending.
    pub fields: Option<Fields>,
}

/// What XAUTOCLAIM gives.
#[derive(Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Where to go on; `0-0` at the end.
    pub next: String,
    pub delivered: Vec<Delivered>,
}

/// The entries of an XREADGROUP of one stream; `None` if the reply is another one.
pub fn entries(reply: Value) -> Option<Vec<Delivered>> {
    match reply {
        Value::Nil => Some(Vec::new()),
        Value::Map(streams) => streams.into_iter().next().map_or(Some(Vec::new()), |(_, entries)| list(entries)),
        Value::Array(streams) => match streams.into_iter().next() {
            None => Some(Vec::new()),
            Some(Value::Array(stream)) => list(stream.into_iter().nth(1)?),
            Some(_) => None,
        },
        _ => None,
    }
}

/// The reply of XAUTOCLAIM: the next start, the entries and, from Redis 7 on, ids of entries that were trimmed; Redis 6.2 gives nil for
/// these.
pub fn claimed(reply: Value) -> Option<Claimed> {
    let Value::Array(parts) = reply else { return None };
    let mut parts = parts.into_iter();
    let next = text(parts.next()?)?;
    let Value::Array(entries) = parts.next()? else { return None };
    let entries = entries.into_iter().filter(|entry| *entry != Value::Nil).collect();
    let mut delivered = list(Value::Array(entries))?;
    if let Some(Value::Array(trimmed)) = parts.next() {
        for id in trimmed {
            delivered.push(Delivered { id: text(id)?, fields: None });
        }
    }
    Some(Claimed { next, delivered })
}

/// A group's figures in the reply of XINFO GROUPS; lag is unknown before Redis 7, and after some deletions.
pub fn backlog(reply: &Value, group: &str) -> Backlog {
    let Value::Array(groups) = reply else { return Backlog::default() };
    let named =
        |about: &&Value| matches!(get(about, "name"), Some(Value::BulkString(name)) if name == group.as_bytes());
    let Some(about) = groups.iter().find(named) else { return Backlog::default() };
    let figure = |name| match get(about, name) {
        Some(Value::Int(figure)) => u64::try_from(*figure).ok(),
        _ => None,
    };
    Backlog { lag: figure("lag"), pending: figure("pending") }
}

/// A value of a map, or of a list of names and values.
fn get<'v>(about: &'v Value, name: &str) -> Option<&'v Value> {
    let is = |key: &Value| matches!(key, Value::BulkString(key) if key == name.as_bytes());
    match about {
        Value::Map(pairs) => pairs.iter().find(|(key, _)| is(key)).map(|(_, value)| value),
        Value::Array(flat) => flat.chunks_exact(2).find_map(|pair| match pair {
            [key, value] if is(key) => Some(value),
            _ => None,
        }),
        _ => None,
    }
}

fn list(entries: Value) -> Option<Vec<Delivered>> {
    let Value::Array(entries) = entries else { return None };
    entries.into_iter().map(entry).collect()
}

fn entry(entry: Value) -> Option<Delivered> {
    let Value::Array(parts) = entry else { return None };
    let mut parts = parts.into_iter();
    let id = text(parts.next()?)?;
    let fields = match parts.next()? {
        Value::Nil => None,
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            let mut fields = Vec::new();
            while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
                fields.push((bytes(name)?, bytes(value)?));
            }
            Some(fields)
        }
        _ => return None,
    };
    Some(Delivered { id, fields })
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn array(values: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(values.into_iter().collect())
    }

    fn two() -> Value {
        array([
            array([bulk("1-0"), array([bulk("update"), bulk("{}"), bulk("n"), bulk("1")])]),
            array([bulk("2-0"), Value::Nil]),
        ])
    }

    #[test]
    fn entries_come_in_either_protocol_and_a_trimmed_one_has_no_fields() {
        for reply in [array([array([bulk("sessions"), two()])]), Value::Map(vec![(bulk("sessions"), two())])] {
            let entries = entries(reply).unwrap();
            let fields: Vec<_> = entries.iter().map(|entry| entry.fields.as_ref().map(Vec::len)).collect();
            assert_eq!((entries[0].id.as_str(), entries[1].id.as_str(), fields), ("1-0", "2-0", vec![Some(2), None]));
        }
        assert_eq!(entries(Value::Nil), Some(Vec::new()), "nothing new");
        assert_eq!(entries(Value::Okay), None);
    }

    #[test]
    fn what_is_claimed_says_where_to_go_on_and_what_was_trimmed() {
        let seven = array([bulk("0-0"), two(), array([bulk("3-0")])]);
        let ids: Vec<String> = claimed(seven).unwrap().delivered.into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, ["1-0", "2-0", "3-0"]);
        let six = claimed(array([bulk("9-0"), array([Value::Nil])])).unwrap();
        assert_eq!(six, Claimed { next: "9-0".to_owned(), delivered: Vec::new() });
    }

    #[test]
    fn a_groups_figures_are_found_among_others() {
        let group = |name, lag| array([bulk("name"), bulk(name), bulk("pending"), Value::Int(4), bulk("lag"), lag]);
        let groups = array([group("other", Value::Int(1)), group("edge", Value::Int(7)), group("old", Value::Nil)]);
        assert_eq!(backlog(&groups, "edge"), Backlog { lag: Some(7), pending: Some(4) });
        assert_eq!(backlog(&groups, "old"), Backlog { lag: None, pending: Some(4) });
        assert_eq!(backlog(&groups, "none"), Backlog::default());
    }
}
