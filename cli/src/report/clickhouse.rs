//! Lines from a server of ClickHouse that holds the tables of sql/clickhouse: it leaves out what isn't asked for, and sends the fields that a
//! report reads, as lines.

use std::env;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use ureq::http::Request;
use url::Url;

use super::input::{Ended, Piece, each_line};
use super::moment::Micros;

/// How a server is named, on the command line.
const PREFIX: &str = "clickhouse:";
/// How long the server may take until it answers, and then until more of its answer comes.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes that are shown of a line that is none of the table's.
const SHOWN: usize = 160;
/// The beginning of a line that is an error in the middle of an answer.
const FAILED: &[u8] = b"Code: ";

/// The fields of each table that a report reads. A text that a line doesn't have is '' there. Maps are objects in lines.
const TABLES: [(&str, &str, &str); 4] = [
    (
        "decisions",
        "time",
        "time, request_id, pop, nullIf(revision, '') AS revision, nullIf(route, '') AS route, status, \
         JSONExtract(variant, 'Map(String, String)') AS variant, pass, nullIf(fallback, '') AS fallback, nullIf(session, '') AS session, \
         errors, cold, total_ms, origin_ms, vcpu_ms, sample, slot",
    ),
    (
        "exposures",
        "timestamp",
        "timestamp, request_id, nullIf(revision, '') AS revision, experiment_id, variation_id, variation, nullIf(feature_id, '') AS feature_id, \
         unit_type, unit_id, shown, nullIf(fallback, '') AS fallback, nullIf(key, '') AS key, map('country', JSONExtractString(attributes, \
         'country'), 'deviceType', JSONExtractString(attributes, 'deviceType')) AS attributes",
    ),
    (
        "conversions",
        "timestamp",
        "timestamp, request_id, event, nullIf(event_id, '') AS event_id, value, currency, source, unit_type, nullIf(unit_id, '') AS unit_id",
    ),
    ("errors", "time", "time, request_id, code, JSONExtract(fault, 'Map(String, String)') AS fault"),
];

/// Where a server is. Who asks is in `CLICKHOUSE_USER` and `CLICKHOUSE_PASSWORD`, never in an argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Server(Url);

/// What a server is asked for: one table.
#[derive(Debug, Clone)]
pub struct Question {
    server: Server,
    query: String,
}

impl Server {
    /// Whether an argument names a server.
    pub fn is_named_by(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// One piece for each table: lines from a time on, to before another.
    pub fn pieces(&self, from: Option<Micros>, to: Option<Micros>) -> Vec<Piece> {
        let asked = TABLES.iter().map(|(table, time, fields)| {
            // Named by its table: some fields have a name like their own source's.
            let bound = |sign: &str, at: Option<Micros>| {
                at.map(|at| format!("{table}.{time} {sign} fromUnixTimestamp64Micro({at}, 'UTC')"))
            };
            let bounds: Vec<String> = [bound(">=", from), bound("<", to)].into_iter().flatten().collect();
            let bounds = if bounds.is_empty() { String::new() } else { format!(" WHERE {}", bounds.join(" AND ")) };
            let query = format!("SELECT {fields} FROM {table}{bounds} FORMAT JSONEachRow");
            Piece::Asked(Question { server: self.clone(), query })
        });
        asked.collect()
    }
}

impl FromStr for Server {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let address = text.strip_prefix(PREFIX).unwrap_or(text);
        let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            bail!("expected a server as clickhouse:https://HOST:8443/?database=edge, but found '{text}'");
        };
        if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password") {
            bail!(
                "expected the password in CLICKHOUSE_PASSWORD, but found one in the address: others can read arguments"
            );
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{PREFIX}{}", self.0)
    }
}

impl Question {
    /// Gives every line of the answer to `take`.
    ///
    /// # Errors
    ///
    /// No answer, the server's own error, an answer that ends or stops in the middle, or one that isn't the table's: half of a table is no
    /// report.
    pub fn lines(&self, bar: &ProgressBar, take: &mut impl FnMut(&[u8])) -> anyhow::Result<Ended> {
        self.lines_within(PATIENCE, bar, take)
    }

    fn lines_within(
        &self,
        patience: Duration,
        bar: &ProgressBar,
        take: &mut impl FnMut(&[u8]),
    ) -> anyhow::Result<Ended> {
        let place = || self.server.to_string();
        let mut url = self.server.0.clone();
        url.query_pairs_mut().extend_pairs([
            ("date_time_output_format", "iso"),
            ("output_format_json_quote_64bit_integers", "0"),
            ("output_format_json_quote_denormals", "0"),
            // An error in the middle ends the answer instead of becoming a part of a row.
            ("http_write_exception_in_output_format", "0"),
        ]);
        let mut request = Request::post(url.as_str());
        for (header, variable) in
            [("X-ClickHouse-User", "CLICKHOUSE_USER"), ("X-ClickHouse-Key", "CLICKHOUSE_PASSWORD")]
        {
            if let Ok(value) = env::var(variable) {
                request = request.header(header, value);
            }
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_recv_response(Some(patience))
            // A whole table may take hours: what is bounded is the rest between two reads.
            .timeout_per_read(Some(patience))
            .user_agent(concat!("personalizer/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut answer =
            agent.run(request.body(self.query.as_str())?).with_context(|| format!("no answer from {}", place()))?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            let said =
                answer.body_mut().with_config().limit(4_096).lossy_utf8(true).read_to_string().unwrap_or_default();
            let first = said.lines().next().unwrap_or_default();
            bail!("{}: expected lines, but found status {status}: {first}", place());
        }
        let (mut failed, mut strange) = (None, None);
        let mut look = |line: &[u8]| {
            if line.first() == Some(&b'{') {
                take(line);
            } else if line.starts_with(FAILED) {
                failed = Some(String::from_utf8_lossy(line).into_owned());
            } else if strange.is_none() && !line.trim_ascii().is_empty() {
                let shown = line.trim_ascii();
                strange = Some(String::from_utf8_lossy(shown.get(..SHOWN).unwrap_or(shown)).into_owned());
            }
        };
        let ended = each_line(bar.wrap_read(answer.body_mut().as_reader()), &mut look).with_context(place)?;
        match (failed, strange) {
            (Some(said), _) => bail!("{}: the server stopped in the middle: {said}", place()),
            (None, Some(found)) => bail!("{}: expected lines of JSON objects, but found '{found}'", place()),
            (None, None) if ended.cut_off => bail!("{}: the answer ends in the middle", place()),
            (None, None) => Ok(ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn a_server_is_named_by_its_address_and_no_password() {
        for text in ["clickhouse:http://localhost:8123", "clickhouse:https://h:8443/?database=edge"] {
            assert!(text.parse::<Server>().is_ok(), "{text}");
        }
        for (text, said) in [
            ("clickhouse:", "expected a server as"),
            ("clickhouse:localhost:8123", "expected a server as"),
            ("clickhouse:ftp://h/", "expected a server as"),
            ("clickhouse:http://u:p@h/", "CLICKHOUSE_PASSWORD"),
            ("clickhouse:http://h/?password=p", "CLICKHOUSE_PASSWORD"),
        ] {
            let error = text.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    /// What comes of an answer with these bytes of its body, which says that it has `length`.
    fn answered(body: &'static str, length: usize, patience: Duration) -> (anyhow::Result<Ended>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server(Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap());
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 4_096];
            while !asked.ends_with(b"SELECT 1") {
                let read = stream.read(&mut buffer).unwrap();
                asked.extend_from_slice(&buffer[..read]);
            }
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
            // Open until the reader gives up.
            let _ = wait.recv_timeout(Duration::from_secs(20));
        });
        let question = Question { server, query: "SELECT 1".to_owned() };
        let mut found = Vec::new();
        let ended = question.lines_within(patience, &ProgressBar::hidden(), &mut |line| {
            found.push(String::from_utf8(line.to_vec()).unwrap());
        });
        drop(done);
        serving.join().unwrap();
        (ended, found)
    }

    #[test]
    fn an_answer_that_is_no_table_is_an_error_and_says_what_came() {
        let rows = "{\"a\":1}\n\n{\"a\":2}\n";
        let (ended, found) = answered(rows, rows.len(), PATIENCE);
        assert_eq!((ended.unwrap().cut_off, found.len()), (false, 2));
        for (body, said) in [
            ("<!DOCTYPE html>\n<p>Log in</p>\n", "expected lines of JSON objects, but found '<!DOCTYPE html>'"),
            ("{\"a\":1}\n[1,2]\n", "but found '[1,2]'"),
            ("{\"a\":1}\r\n__exception__\r\nCode: 159. DB::Exception\n", "stopped in the middle: Code: 159"),
        ] {
            let error = format!("{:#}", answered(body, body.len(), PATIENCE).0.unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_server_that_stops_in_the_middle_is_given_up() {
        let error = format!("{:#}", answered("{\"a\":1}\n", 1_000, Duration::from_millis(500)).0.unwrap_err());
        assert!(error.contains("timeout"), "{error}");
    }

    #[test]
    fn the_server_leaves_out_what_is_outside_of_the_time() {
        let server: Server = "clickhouse:http://h".parse().unwrap();
        let queries: Vec<String> = server
            .pieces(Some(5), Some(9))
            .into_iter()
            .map(|piece| if let Piece::Asked(question) = piece { question.query } else { String::new() })
            .collect();
        assert_eq!(queries.len(), 4);
        let bounds = "WHERE errors.time >= fromUnixTimestamp64Micro(5, 'UTC') AND errors.time < fromUnixTimestamp64Micro(9, 'UTC')";
        assert!(queries[3].contains(bounds), "{}", queries[3]);
        assert!(server.pieces(None, None).iter().all(|piece| !format!("{piece:?}").contains("WHERE")));
    }
}
