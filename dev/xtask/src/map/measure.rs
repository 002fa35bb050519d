//! A visitor of a city asks for pages, and looks at the clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use local_server::client::{Answer, Connection, Request};

use super::cache;
use super::cities::City;
use super::stand::{Stand, VISITOR};
use super::ways::{WAYS, Way};

/// Which page of a visit: what connecting costs is paid by the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Page {
    /// On a new connection.
    First,
    /// On a connection that is open.
    Next,
}

/// Milliseconds of each answer.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// To its first byte.
    pub first_byte: Vec<f64>,
    /// To its end.
    pub whole: Vec<f64>,
    /// How many pages showed what the session says.
    pub with_session: usize,
}

/// What was measured in a city.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Where.
    pub city: City,
    /// The round trip to the central data centre.
    pub apart: Duration,
    /// By way and page.
    pub times: HashMap<(Way, Page), Times>,
    /// Pages that were asked for again.
    pub again: usize,
    /// What the service said of errors, by code and how often.
    pub errors: BTreeMap<String, usize>,
}

/// How often a page is asked for in a row, until it is the one that is measured.
const TRIES: usize = 5;

/// Asks for so many pages in each way. Each round has every way in it, so that whatever else the machine does meets all alike. Each finished
/// round is counted in `done`.
///
/// # Errors
///
/// An answer isn't the page that was asked for, or came in another way.
pub fn from_city(stand: &Stand, pages: u32, done: &AtomicUsize) -> anyhow::Result<Measured> {
    let mut visit = Visit { stand, open: HashMap::new(), asked: 0, again: 0 };
    // Connects, fills the cache, and shows that all ways lead to the same page.
    let mut same = None;
    for way in WAYS.into_iter().chain(WAYS) {
        let answer = visit.ask(way, Page::Next)?;
        if has_session(way) {
            let (text, from) = (answer.text(), stand.city.name);
            let same = same.get_or_insert_with(|| text.clone());
            ensure!(*same == text, "{way:?} from {from} gives another page:\n{same}\n{text}");
        }
    }
    visit.again = 0;
    let mut times: HashMap<(Way, Page), Times> = HashMap::new();
    for round in 0..pages as usize {
        let order = (0..WAYS.len()).filter_map(|place| WAYS.get((place + round) % WAYS.len()));
        for way in order.copied() {
            for page in [Page::First, Page::Next] {
                let answer = visit.ask(way, page)?;
                times.entry((way, page)).or_default().take(&answer);
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Measured { city: stand.city.clone(), apart: stand.apart, times, again: visit.again, errors: stand.errors() })
}

impl Times {
    fn take(&mut self, answer: &Answer) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        self.first_byte.push(milliseconds(answer.first_byte));
        self.whole.push(milliseconds(answer.total));
        self.with_session += usize::from(shows_session(answer));
    }
}

/// Whether the service has rewritten the page at all.
fn is_personalized(answer: &Answer) -> bool {
    answer.text().contains("edge-decisions")
}

/// Whether the page shows what this visitor looked at.
fn shows_session(answer: &Answer) -> bool {
    answer.text().contains("card small")
}

/// Whether the page of this way shows the session, always. One that is asked of afar may come too late for it.
fn has_session(way: Way) -> bool {
    !matches!(way, Way::EdgeHit | Way::EdgeAsked)
}

/// A visitor's browser.
struct Visit<'s> {
    stand: &'s Stand,
    /// What stays open, by way.
    open: HashMap<Way, Connection>,
    asked: usize,
    again: usize,
}

impl Visit<'_> {
    /// A page that came this way. The first of each variant fills the cache, and the next is the one that counts. On a machine that is too busy the
    /// service may have spent its vCPU budget before it has rewritten anything: such a page is asked for again, too.
    fn ask(&mut self, way: Way, page: Page) -> anyhow::Result<Answer> {
        let from = self.stand.city.name;
        let expected = if way == Way::EdgeMiss { "miss" } else { "hit" };
        for _ in 0..TRIES {
            let answer = match page {
                Page::First => self.first(way),
                Page::Next => self.next(way),
            };
            let (answer, cached) = answer.with_context(|| format!("{way:?} from {from}"))?;
            let whole = is_personalized(&answer) && (shows_session(&answer) || !has_session(way));
            if whole && cached == expected {
                return Ok(answer);
            }
            self.again += usize::from(!whole);
        }
        bail!(
            "{way:?} from {from}: expected a personalized page and a cache {expected}, but found none in {TRIES} tries. Is the machine too busy? \
             The service said: {:?}",
            self.stand.errors()
        )
    }

    fn first(&mut self, way: Way) -> anyhow::Result<(Answer, String)> {
        let mut connection = Connection::open(self.stand.city.visitor.address, self.stand.door(way)?)?;
        let request = self.request(way);
        check(connection.send(&request)?)
    }

    fn next(&mut self, way: Way) -> anyhow::Result<(Answer, String)> {
        let request = self.request(way);
        let mut connection = match self.open.remove(&way) {
            Some(open) => open,
            None => Connection::open(self.stand.city.visitor.address, self.stand.door(way)?)?,
        };
        let answer = check(connection.send(&request)?)?;
        self.open.insert(way, connection);
        Ok(answer)
    }

    /// The home page, asked for by a browser whose visitor has agreed to be known.
    fn request(&mut self, way: Way) -> Request {
        self.asked += 1;
        let path = match way {
            Way::EdgeMiss => format!("/?miss={}", self.asked),
            _ => "/".to_owned(),
        };
        let id = match way {
            Way::EdgeHit => None,
            // Nobody has asked for this session yet.
            Way::EdgeAsked => Some(format!("{:032x}", self.asked)),
            _ => Some(VISITOR.to_owned()),
        };
        let cookies = id.map_or_else(|| "consent=yes".to_owned(), |id| format!("consent=yes; ep_vid={id}"));
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36";
        Request::get(path).header("Host", "shop.example").header("User-Agent", agent).header("Cookie", cookies)
    }
}

/// The answer, where it is the page, and whether the origin's part of it was a `hit` or a `miss`.
fn check(answer: Answer) -> anyhow::Result<(Answer, String)> {
    let (status, complete) = (answer.status, answer.complete);
    ensure!(status == 200 && complete, "answered {status} (complete: {complete}): {}", answer.text());
    let cached = answer.header(cache::MARK).context("expected a page that went through the cache")?;
    Ok((answer, cached))
}
