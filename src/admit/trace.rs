//! Request ids and W3C Trace Context (<https://www.w3.org/TR/trace-context/>, version 00).

use base16ct::lower::encode_string as hex;

/// A request's place in a trace, as the header `traceparent` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent {
    /// 32 lower-case hexadecimal digits, continued where the client sent a valid `traceparent`.
    pub trace_id: String,
    /// 16 digits: this hop's span.
    span_id: String,
    sampled: bool,
    /// Whether the client's trace goes on, and with it its `tracestate`.
    pub continued: bool,
}

impl Traceparent {
    /// Continues `parent` where it is valid, else starts a trace from `random`.
    pub fn new(parent: Option<&[u8]>, random: u128) -> Self {
        // The span takes bits that a new trace id is not made of alone: both are random, neither is empty.
        let span = (random as u64) ^ ((random >> 64) as u64).rotate_left(17) | 1;
        let span_id = hex(&span.to_be_bytes());
        match parent.and_then(parse) {
            Some((trace_id, sampled)) => Self { trace_id, span_id, sampled, continued: true },
            None => Self { trace_id: hex(&random.max(1).to_be_bytes()), span_id, sampled: false, continued: false },
        }
    }

    /// The header for the next hop.
    pub fn traceparent(&self) -> String {
        let flags = if self.sampled { "01" } else { "00" };
        ["00", &self.trace_id, &self.span_id, flags].join("-")
    }
}

/// A valid `traceparent`: trace id and sampled flag. A later version is read as far as version 00 goes (section 4.3).
fn parse(header: &[u8]) -> Option<(String, bool)> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let mut fields = text.split('-');
    let (version, trace_id, span_id, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let digits = |field: &str, count: usize| {
        field.len() == count && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    let shape = digits(version, 2) && digits(trace_id, 32) && digits(span_id, 16) && digits(flags, 2);
    let more = fields.next().is_some();
    if !shape || version == "ff" || (version == "00" && more) || is_zero(trace_id) || is_zero(span_id) {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    Some((trace_id.to_owned(), sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        let trace = Traceparent::new(Some(VALID), 7);
        assert_eq!(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert!(trace.continued);
        assert!(trace.traceparent().ends_with("-01"));
        assert!(!trace.traceparent().contains("b7ad6b7169203331"));
    }

    #[test]
    fn a_trace_that_begins_here_is_called_as_the_request_is() {
        for random in [6, 7, u128::MAX] {
            assert_eq!(Traceparent::new(None, random).trace_id, hex(&random.to_be_bytes()));
        }
        assert_ne!(Traceparent::new(None, 0).trace_id, "0".repeat(32), "no trace has that id");
    }

    #[test]
    fn a_malformed_trace_is_replaced() {
        for bad in [
            &b"00-00000000000000000000000000000000-b7ad6b7169203331-01"[..],
            b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"\xff\xfe",
            b"",
        ] {
            let trace = Traceparent::new(Some(bad), 7);
            assert!(!trace.continued, "{bad:?}");
            assert_eq!(trace.trace_id.len(), 32);
        }
    }
}
