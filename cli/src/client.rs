//! HTTP calls: one at a time, with everything that a caller needs to judge the answer.

use std::time::Duration;

use anyhow::Context as _;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use ureq::http::{Method, Request};

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection may take to be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer's head may take: what is asked is small, and somebody waits.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is read: the longest value of a KV store.
const MAX_BODY: u64 = 25 * 1024 * 1024;

/// Connections to one host that are kept for later calls: a feed has as many under way.
const MOST_IDLE: usize = 32;

/// Who is called.
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    /// How long to wait before the next call, where the answer says so.
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Client {
    /// Calls go to paths below `base`, a URL. Redirects are not followed: keys and personal data go where they were meant to go.
    pub fn new(base: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .max_idle_connections_per_host(MOST_IDLE)
            .user_agent(concat!("personalizer/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { agent, base: base.trim_end_matches('/').to_owned() }
    }

    /// One call. Any status is an answer; an error is that there was none.
    pub fn call(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(bytes) => self.agent.run(request.body(bytes)?),
            None => self.agent.run(request.body(())?),
        };
        let mut response = sent.with_context(|| format!("no answer from {}", self.base))?;
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = after.and_then(|text| retry_after(text, OffsetDateTime::now_utc()));
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(MAX_BODY).read_to_vec();
        let body = read.with_context(|| format!("half an answer from {}", self.base))?;
        Ok(Answer { status, retry_after, body })
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let then = PrimitiveDateTime::parse(text.trim(), &date).ok()?.assume_utc();
    Some((then - now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = time::macros::datetime!(1994-11-06 08:49:00 UTC);
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
