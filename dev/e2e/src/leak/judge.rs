//! What of an answer is somebody else's.

use local_server::client::Answer;

/// How many visitors have marks of their own.
pub const MOST_VISITORS: usize = 100;
/// The ends of a visitor id that is a mark; four digits of the number stand between them.
const ID_START: &str = "fade";
const ID_END: &str = "fadefadefadefadefadefade";

/// The mark of a visitor in texts: no other text of a run has its form.
#[must_use]
pub fn mark(number: usize) -> String {
    format!("mk{number:02}q")
}

/// The visitor id that is a visitor's mark, in hexadecimal.
#[must_use]
pub fn marked_id(number: usize) -> String {
    format!("{ID_START}{number:04x}{ID_END}")
}

/// What a visitor has to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// The status.
    pub status: u16,
    /// `Edge-Variant`.
    pub variant: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It holds the mark of this other visitor.
    Mark(usize),
    /// It is another visitor's variant: what differs, and how.
    Variant(String),
}

/// Everything of an answer that isn't this visitor's. No finding: no leak.
#[must_use]
pub fn findings(visitor: usize, truth: &Truth, answer: &Answer) -> Vec<Finding> {
    let mut owners = owners(&answer.body);
    for (_, value) in &answer.headers {
        owners.extend(self::owners(value));
    }
    owners.sort_unstable();
    owners.dedup();
    let mut found: Vec<Finding> = owners.into_iter().filter(|owner| *owner != visitor).map(Finding::Mark).collect();
    let mut differs = |what: &str, is: &dyn std::fmt::Debug, should_be: &dyn std::fmt::Debug| {
        found.push(Finding::Variant(format!("{what} is {is:?}, not {should_be:?}")));
    };
    if answer.status != truth.status {
        differs("the status", &answer.status, &truth.status);
    }
    for (name, right) in [("edge-variant", &truth.variant), ("location", &truth.location)] {
        let value = answer.header(name);
        if value != *right {
            differs(name, &value, right);
        }
    }
    if answer.body != truth.body {
        differs("the body", &answer.text(), &String::from_utf8_lossy(&truth.body));
    }
    found
}

/// The numbers of all visitors whose marks are in a text.
fn owners(text: &[u8]) -> Vec<usize> {
    let mut owners = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        let rest = text.get(at..).unwrap_or_default();
        match byte {
            b'm' => owners.extend(between(rest, "mk", 2, "q", 10)),
            b'f' => owners.extend(between(rest, ID_START, 4, ID_END, 16)),
            _ => {}
        }
    }
    owners
}

/// The number of so many digits between a start and an end, where a text begins so.
fn between(text: &[u8], start: &str, digits: usize, end: &str, radix: u32) -> Option<usize> {
    let (number, rest) = text.strip_prefix(start.as_bytes())?.split_at_checked(digits)?;
    rest.starts_with(end.as_bytes()).then_some(())?;
    usize::from_str_radix(std::str::from_utf8(number).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn truth(body: &str) -> Truth {
        Truth { status: 200, variant: Some("region=\"EU\"".to_owned()), location: None, body: body.into() }
    }

    fn answer(headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let body = body.as_bytes().to_vec();
        Answer { status: 200, headers, body, complete: true, first_byte: Duration::ZERO, total: Duration::ZERO }
    }

    const EU: (&str, &str) = ("Edge-Variant", "region=\"EU\"");

    #[test]
    fn a_visitors_own_marks_are_no_finding() {
        let own = format!("<p>{} {}</p>", mark(7), marked_id(7));
        assert_eq!(findings(7, &truth(&own), &answer(&[EU, ("X-User-ID", &mark(7))], &own)), []);
    }

    #[test]
    fn a_planted_mark_of_somebody_else_is_found_in_body_and_headers() {
        for (planted, owner) in [(mark(8), 8), (marked_id(99), 99), (format!("xmk{}", mark(3)), 3)] {
            let body = format!("{} basket={planted};", mark(7));
            assert_eq!(findings(7, &truth(&body), &answer(&[EU], &body)), [Finding::Mark(owner)], "{planted}");
            let cookie = format!("basket={planted}");
            assert_eq!(findings(7, &truth("x"), &answer(&[EU, ("Set-Cookie", &cookie)], "x")), [Finding::Mark(owner)]);
        }
    }

    #[test]
    fn a_planted_variant_is_found() {
        let found = |answer: &Answer| findings(7, &truth("hello"), answer).len();
        assert_eq!(found(&answer(&[("Edge-Variant", "region=\"US\"")], "hello")), 1);
        assert_eq!(found(&answer(&[], "hello")), 1, "a variant without its name");
        assert_eq!(found(&answer(&[EU, ("Location", "/states/shop")], "hello")), 1);
        assert_eq!(found(&answer(&[EU], "hullo")), 1);
        assert_eq!(found(&Answer { status: 404, ..answer(&[EU], "hello") }), 1);
        assert_eq!(found(&answer(&[EU], "hello")), 0);
    }
}
