//! A crowd: random visitors with random requests, from a seed. What they send is what browsers, tools and mischief send.

use edge_personalizer::context::identity::{UserId, sign};
use edge_personalizer::mac::MacKey;
use edge_personalizer::platform::Geo;
use local_server::client::Request;
use local_server::visitors::{LOCATED, NOWHERE, Visitor};

use crate::Dice;

/// The local server's key of user ids, of `fastly.toml`.
const IDENTITY: &str = "local-identity-key-of-32-bytes-or-more";

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/604.1",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) TV Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.9.1",
];
/// Header lines, each sent by some: a name, and what it may say.
const HEADERS: [(&str, &[&str]); 18] = [
    ("User-Agent", &AGENTS),
    ("Accept-Language", &["fr", "de;q=0.5, en", "ja, *;q=0.1", "en-GB, en;q=0.9", "xx", "", "fr;q=0, de", "é"]),
    ("Accept-Encoding", &["gzip, deflate, br", "br", "identity", "gzip;q=0", "zstd"]),
    ("Accept", &["text/html,*/*;q=0.8", "image/avif,image/webp,*/*", "image/webp", "*/*"]),
    ("X-Tier", &["gold", "silver", "gold, silver", ""]),
    ("X-Debug", &["1"]),
    ("Save-Data", &["on", "off"]),
    ("ECT", &["2g", "3g", "4g", "5g"]),
    ("RTT", &["50", "300", "1500", "x"]),
    ("Downlink", &["0.4", "3", "50"]),
    ("DPR", &["1", "2", "3.5", "-1"]),
    ("Sec-CH-Viewport-Width", &["360", "800", "1920"]),
    ("Sec-CH-UA-Mobile", &["?1", "?0"]),
    ("Sec-GPC", &["1"]),
    ("Authorization", &["Bearer not-a-token", "Basic YTpi"]),
    ("If-None-Match", &["\"v1\"", "W/\"v1\", \"v2\""]),
    ("Range", &["bytes=0-99"]),
    ("X-Geo-Region", &["EU", "US", "NOWHERE"]),
];
const COOKIES: [&str; 6] = ["currency=EUR", "currency=USD", "theme=dark", "consent=yes", "consent=no", "odd=a=b%20c"];
const QUERIES: [&str; 9] =
    ["a=1", "a=2", "utm_source=mail", "%75tm_x=1", "q=%20x+y", "b=%C3%A9", "a=", "flag", "lang=de&l%61ng=fr"];

/// The headers that prove a user to the local server, now.
///
/// # Panics
///
/// The clock is before 1970.
#[must_use]
pub fn proof(user: &UserId) -> [(String, String); 2] {
    let signature = sign(&MacKey::new(IDENTITY.as_bytes()).unwrap(), user, crate::now().as_secs());
    [("X-User-ID".to_owned(), user.as_str().to_owned()), ("X-User-Signature".to_owned(), signature)]
}

/// Somebody, and what they ask for.
#[derive(Debug, Clone)]
pub struct Person {
    /// Where they are.
    pub visitor: Visitor,
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Header lines in their order.
    pub headers: Vec<(String, String)>,
    /// The value of `ep_vid`, where they have one.
    pub id: Option<u128>,
    /// Who they are, where they prove it.
    pub user: Option<UserId>,
}

/// What a crowd is made of.
#[derive(Debug, Clone, Copy)]
pub struct Mix<'a> {
    /// Paths that they ask for.
    pub paths: &'a [&'a str],
    /// Methods, as often as they stand here.
    pub methods: &'a [&'static str],
    /// How many of a hundred send each header line.
    pub header_percent: usize,
    /// How many of a hundred are logged in.
    pub user_percent: usize,
    /// How many of a hundred have the visitor's cookie.
    pub cookie_percent: usize,
}

impl Person {
    /// The next one.
    #[must_use]
    pub fn next(dice: &mut Dice, mix: Mix<'_>) -> Self {
        let visitor = if dice.chance(10) { NOWHERE } else { *dice.one(&LOCATED) };
        let mut queries: Vec<&str> = Vec::new();
        while dice.chance(45) {
            queries.push(*dice.one(&QUERIES));
        }
        let mut target = (*dice.one(mix.paths)).to_owned();
        if !queries.is_empty() {
            target = format!("{target}?{}", queries.join("&"));
        }
        let mut headers = Vec::new();
        for (name, values) in HEADERS {
            if dice.chance(mix.header_percent) {
                headers.push((name.to_owned(), (*dice.one(values)).to_owned()));
            }
        }
        // Few visitors, so that they come again.
        let id = dice.chance(mix.cookie_percent).then(|| 0xe2e_0000 + dice.below(40) as u128);
        let mut cookies: Vec<String> = Vec::new();
        while dice.chance(50) {
            cookies.push((*dice.one(&COOKIES)).to_owned());
        }
        cookies.extend(id.map(|id| format!("ep_vid={id:032x}")));
        if !cookies.is_empty() {
            // One line, or one a cookie.
            let lines = if dice.chance(20) { cookies } else { vec![cookies.join("; ")] };
            headers.extend(lines.into_iter().map(|line| ("Cookie".to_owned(), line)));
        }
        let user = dice.chance(mix.user_percent).then(|| UserId::parse(&format!("user-{}", dice.below(20))).unwrap());
        headers.extend(user.iter().flat_map(proof));
        Self { visitor, method: *dice.one(mix.methods), target, headers, id, user }
    }

    /// What goes over the wire.
    #[must_use]
    pub fn request(&self) -> Request {
        let request = Request::new(self.method, &self.target);
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        if matches!(self.method, "GET" | "HEAD") { request } else { request.body("a=1") }
    }

    /// What Fastly says of where they are: what the local server answers for [`Visitor::geolocation`].
    #[must_use]
    pub fn geo(&self) -> Option<Geo> {
        if self.visitor == NOWHERE {
            return None;
        }
        let known = self.visitor.country.bytes().all(|byte| byte.is_ascii_alphabetic());
        let continents = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
        let continent = continents.into_iter().find(|continent| *continent == self.visitor.continent);
        let text = |text: &str| (!matches!(text, "" | "?")).then(|| text.to_owned());
        Some(Geo {
            country: known.then(|| self.visitor.country.to_owned()),
            subdivision: text(self.visitor.subdivision),
            continent: continent.filter(|_| known),
            city: text(self.visitor.city),
            connection_type: Some("wired"),
        })
    }
}
