//! Visitors that nothing may confuse: each has strings that are nobody else's.

use e2e::{Edge, Request, now};
use edge_personalizer::context::identity::{UserId, sign};
use edge_personalizer::mac::MacKey;
use serde_json::{Value, json};

/// The local server's own, of `fastly.toml`.
const KEY: &str = "local-identity-key-of-32-bytes-or-more";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const PHONE: &str =
    "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
/// Both arms are met among so many users, but for one case in a million.
const CANDIDATES: usize = 20;

/// One visitor.
pub struct Person {
    pub name: &'static str,
    /// The proven user; the beginning of each of the visitor's own strings.
    pub user: String,
    visitor: String,
    headers: Vec<(&'static str, String)>,
}

impl Person {
    /// One in control, one in the treatment, and one of whom nobody knows anything.
    pub fn three(edge: &Edge) -> [Self; 3] {
        let ann = Self::in_arm(
            edge,
            "ann",
            "control",
            &[("X-Geo-Region", "US-EAST"), ("User-Agent", FIREFOX), ("Accept-Language", "en")],
        );
        let bob = Self::in_arm(
            edge,
            "bob",
            "bold",
            &[("X-Geo-Region", "APAC"), ("User-Agent", PHONE), ("Accept-Language", "fr")],
        );
        let headers = vec![("User-Agent", FIREFOX.to_owned())];
        [ann, bob, Self { name: "nobody", user: String::new(), visitor: String::new(), headers }]
    }

    fn in_arm(edge: &Edge, name: &'static str, arm: &str, own: &[(&'static str, &str)]) -> Self {
        let people = (0..CANDIDATES).map(|number| Self::known(name, number, own));
        let wanted = format!("hero=\"{arm}\"");
        let mut found = people.filter(|person| {
            let answer = edge.send(&person.request("/api/hero"));
            answer.header("edge-variant").is_some_and(|variant| variant.contains(&wanted))
        });
        found.next().unwrap_or_else(|| panic!("nobody of {CANDIDATES} is in arm {arm}"))
    }

    fn known(name: &'static str, number: usize, own: &[(&'static str, &str)]) -> Self {
        let user = user(name, number);
        let id = UserId::parse(&user).unwrap();
        let visitor =
            format!("{:032x}", name.bytes().fold(number as u128 + 1, |sum, byte| sum * 257 + u128::from(byte)) << 20);
        let mut headers: Vec<(&'static str, String)> =
            own.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.push(("X-User-ID", user.clone()));
        headers.push(("X-User-Signature", sign(&MacKey::new(KEY.as_bytes()).unwrap(), &id, now().as_secs())));
        headers.push(("Cookie", format!("consent=yes; ep_vid={visitor}; theme={name}; basket={user}-basket")));
        Self { name, user, visitor, headers }
    }

    /// `GET` by this visitor.
    pub fn request(&self, target: &str) -> Request {
        let request = Request::get(target).header("Host", "shop.example");
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Strings that nobody else may see.
    pub fn canaries(&self) -> impl Iterator<Item = &str> {
        [self.user.as_str(), self.visitor.as_str()].into_iter().filter(|canary| !canary.is_empty())
    }
}

fn user(name: &str, number: usize) -> String {
    format!("canary-{name}-{number}-7f3c")
}

/// A session for each user that a test may choose: key and record.
pub fn sessions() -> Vec<(String, Value)> {
    let users = ["ann", "bob"].into_iter().flat_map(|name| (0..CANDIDATES).map(move |number| user(name, number)));
    users
        .map(|user| {
            let record = json!({ "v": 1, "updated_at": now().as_millis(), "recent_views": [format!("{user}-viewed")],
                "cart": [{ "sku": format!("{user}-sku"), "quantity": 1 }], "attributes": { "tier": format!("{user}-tier") } });
            (format!("user/{user}"), record)
        })
        .collect()
}
