//! Visitors of whom each has marks that are nobody else's: in cookies, headers, credentials and session.

use edge_personalizer::context::identity::UserId;
use edge_personalizer::platform::Geo;
use local_server::client::Request;
use local_server::visitors::Visitor;
use serde_json::{Value, json};

use super::judge::{mark, marked_id};
use crate::Dice;
use crate::crowd::{Mix, Person, proof};

/// How many of a hundred have proven a user id, have a visitor's cookie, and send a credential of the site's own.
const USERS: usize = 45;
const KNOWN: usize = 55;
const CREDENTIALS: usize = 10;
/// How many of a hundred send each ordinary header line.
const HEADERS: usize = 25;
const COOKIES: [&str; 4] = ["currency=EUR", "currency=USD", "theme=dark", "theme=light"];

/// One visitor.
#[derive(Debug, Clone)]
pub struct Marked {
    /// The number in the marks.
    pub number: usize,
    /// Where they are.
    pub place: Visitor,
    /// Who they are, where they prove it.
    pub user: Option<UserId>,
    /// The visitor's id, where they have one.
    pub id: Option<String>,
    headers: Vec<(String, String)>,
    geo: Option<Geo>,
}

impl Marked {
    /// So many visitors, the same for the same seed.
    ///
    /// # Panics
    ///
    /// There are more than have marks of their own.
    #[must_use]
    pub fn crowd(count: usize, seed: u64) -> Vec<Self> {
        assert!(count <= super::judge::MOST_VISITORS, "expected at most {} visitors", super::judge::MOST_VISITORS);
        let mut dice = Dice::new(seed);
        (0..count).map(|number| Self::next(number, &mut dice)).collect()
    }

    fn next(number: usize, dice: &mut Dice) -> Self {
        let mix = Mix { paths: &["/"], methods: &["GET"], header_percent: HEADERS, user_percent: 0, cookie_percent: 0 };
        let person = Person::next(dice, mix);
        let geo = person.geo();
        let mark = mark(number);
        // Parts and conditions would only make answers smaller, and a credential passes every cache.
        let mut headers = person.headers;
        headers.retain(|(name, _)| !matches!(name.as_str(), "Cookie" | "Range" | "If-None-Match" | "Authorization"));
        headers.push(("X-Secret".to_owned(), format!("{mark}-header")));
        headers.push(("X-Client".to_owned(), (*dice.one(&["1", "2", "1, 2"])).to_owned()));
        if dice.chance(CREDENTIALS) {
            headers.push(("Authorization".to_owned(), format!("Bearer {mark}-credential")));
        }
        let known = dice.chance(KNOWN);
        let is_user = known && dice.chance(USERS * 100 / KNOWN);
        // A new visitor's id would be random. Who has none refuses, so that none is made.
        let mut cookies =
            vec![format!("basket={mark}-basket"), format!("consent={}", if known { "yes" } else { "no" })];
        cookies.extend((0..2).map(|_| (*dice.one(&COOKIES)).to_owned()));
        let id = known.then(|| marked_id(number));
        cookies.extend(id.iter().map(|id| format!("ep_vid={id}")));
        headers.push(("Cookie".to_owned(), cookies.join("; ")));
        let user = is_user.then(|| UserId::parse(&format!("{mark}-user"))).flatten();
        Self { number, place: person.visitor, user, id, headers, geo }
    }

    /// The header lines of a request, proof of the user included.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let proof = self.user.iter().flat_map(proof);
        self.headers.iter().cloned().chain(proof).collect()
    }

    /// A request of theirs.
    #[must_use]
    pub fn request(&self, method: &str, target: &str) -> Request {
        let request = Request::new(method, target).header("Host", super::HOST);
        self.headers().iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Where Fastly says that they are; nowhere behind a cache, whose address is the one that is seen.
    #[must_use]
    pub fn geo(&self, way: super::Way) -> Option<Geo> {
        self.geo.clone().filter(|_| way == super::Way::Direct)
    }

    /// Their session records: KV key and record.
    #[must_use]
    pub fn records(&self, now_ms: u128) -> Vec<(String, Value)> {
        let record = |whose: &str| {
            let mark = format!("{}-{whose}", mark(self.number));
            let plan = if self.number.is_multiple_of(2) { "gold" } else { "none" };
            json!({ "v": 1, "updated_at": now_ms, "recent_views": [format!("{mark}-viewed")],
                "cart": [{ "sku": format!("{mark}-sku"), "quantity": 1 }],
                "attributes": { "tier": format!("{mark}-tier"), "plan": plan } })
        };
        let user = self.user.iter().map(|user| (format!("user/{}", user.as_str()), record("user")));
        let visitor = self.id.iter().map(|id| (format!("visitor/{id}"), record("visitor")));
        user.chain(visitor).collect()
    }
}
