//! The attributes: what conditions, templates and features may read of a visitor and a request (design.md section 3.4).
//!
//! One table says of each its name, its type, what it costs to know it, its closed values and whether it identifies. What a request
//! has to know follows from the set of attributes that its rules read ([`FactSet`]).

use std::fmt;

/// The class of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceClass {
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A computer, and whatever says nothing of itself.
    Desktop,
    /// A television, a box or stick at one.
    Tv,
    /// A crawler, a monitor, a command-line client.
    Bot,
}

impl DeviceClass {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Mobile, Self::Tablet, Self::Desktop, Self::Tv, Self::Bot];

    /// The class of this exact word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// The attribute's value: `mobile`, `tablet`, `desktop`, `tv`, `bot`.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceClass::Mobile => "mobile",
            DeviceClass::Tablet => "tablet",
            DeviceClass::Desktop => "desktop",
            DeviceClass::Tv => "tv",
            DeviceClass::Bot => "bot",
        }
    }
}

/// The class of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetworkClass {
    /// A page has to be small.
    Slow,
    /// In between.
    Medium,
    /// Nothing has to be saved, and whatever says nothing of itself.
    Fast,
}

impl NetworkClass {
    /// The attribute's value: `slow`, `medium`, `fast`.
    pub fn as_str(self) -> &'static str {
        match self {
            NetworkClass::Slow => "slow",
            NetworkClass::Medium => "medium",
            NetworkClass::Fast => "fast",
        }
    }
}

/// What kind of value an attribute has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// A list of texts.
    List,
    /// An object, read by dotted paths.
    Object,
}

/// What it takes to know an attribute, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// The URL or the clock says it: it is the same for all who ask for this URL now.
    Url,
    /// The request's headers say it.
    Headers,
    /// A look-up of the address.
    Address,
    /// A look-up of the `User-Agent`.
    Device,
    /// Consent, cookies, and a proof where there is one.
    Person,
    /// The session record.
    Session,
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What kind of value it has.
    pub kind: Kind,
    /// What it takes to know it.
    pub cost: Cost,
    /// All values that it can have; empty where they are not closed.
    pub values: &'static [&'static str],
    /// Whether it tells one visitor from the others, or says what one visitor did.
    pub identifies: bool,
}

const fn open(name: &'static str, kind: Kind, cost: Cost) -> Attribute {
    Attribute { name, kind, cost, values: &[], identifies: false }
}

const fn closed(name: &'static str, cost: Cost, values: &'static [&'static str]) -> Attribute {
    Attribute { name, kind: Kind::Text, cost, values, identifies: false }
}

const fn identifying(name: &'static str, kind: Kind, cost: Cost) -> Attribute {
    Attribute { name, kind, cost, values: &[], identifies: true }
}

/// Every attribute of the service's own. Any other name is one of the site's (`settings.attributes`), or one that nobody has.
pub const TABLE: [Attribute; 27] = [
    identifying("id", Kind::Text, Cost::Person),
    identifying("userId", Kind::Text, Cost::Person),
    identifying("visitorId", Kind::Text, Cost::Person),
    identifying("loggedIn", Kind::Truth, Cost::Person),
    open("country", Kind::Text, Cost::Address),
    open("subdivision", Kind::Text, Cost::Address),
    closed("continent", Cost::Address, &crate::platform::geo::CONTINENTS),
    open("city", Kind::Text, Cost::Address),
    open("region", Kind::Text, Cost::Address),
    open("language", Kind::Text, Cost::Headers),
    closed("deviceType", Cost::Device, &["mobile", "tablet", "desktop", "tv", "bot"]),
    closed("browser", Cost::Device, &["chrome", "safari", "firefox", "edge", "opera", "samsung", "ie", "other"]),
    closed("os", Cost::Device, &["windows", "macos", "ios", "android", "chromeos", "linux", "other"]),
    closed("network", Cost::Address, &["slow", "medium", "fast"]),
    open("saveData", Kind::Truth, Cost::Headers),
    open("url", Kind::Text, Cost::Url),
    open("host", Kind::Text, Cost::Url),
    open("path", Kind::Text, Cost::Url),
    open("query", Kind::Object, Cost::Url),
    open("utmSource", Kind::Text, Cost::Url),
    open("utmMedium", Kind::Text, Cost::Url),
    open("utmCampaign", Kind::Text, Cost::Url),
    open("utmTerm", Kind::Text, Cost::Url),
    open("utmContent", Kind::Text, Cost::Url),
    identifying("segments", Kind::List, Cost::Session),
    identifying("session", Kind::Object, Cost::Session),
    open("now", Kind::Number, Cost::Url),
];

/// The place of the first attribute of the site's own in a [`FactSet`].
pub const FIRST_OWN: usize = 32;
/// Most attributes of the site's own.
pub const MAX_OWN: usize = 32;

/// The attribute called `name`, of the service's own.
#[must_use]
pub fn find(name: &str) -> Option<&'static Attribute> {
    TABLE.iter().find(|attribute| attribute.name == name)
}

/// A set of attributes: those of [`TABLE`] by their place, then the site's own from [`FIRST_OWN`] on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FactSet(u64);

impl FactSet {
    /// No attribute.
    pub const NONE: Self = Self(0);
    /// Those that the URL alone decides.
    pub const OF_THE_URL: Self = Self::costing(Cost::Url, Cost::Url);
    /// Those that take a look-up of the `User-Agent`.
    pub const OF_THE_DEVICE: Self = Self::costing(Cost::Device, Cost::Device);
    /// Those for which somebody has to find out who asks.
    pub const OF_THE_PERSON: Self = Self::costing(Cost::Person, Cost::Session);
    /// Those that take the session record.
    pub const OF_THE_SESSION: Self = Self::costing(Cost::Session, Cost::Session);
    /// Those that tell one visitor from the others.
    pub const IDENTIFYING: Self = Self::identifying();
    /// The ids under which a visitor is known again: a new visitor gets one where a rule reads or hashes it.
    pub const IDS: Self = Self::named(&["id", "visitorId"]);
    /// The region alone.
    pub const REGION: Self = Self::named(&["region"]);

    const fn costing(from: Cost, to: Cost) -> Self {
        let (mut bits, mut place) = (0, 0);
        while place < TABLE.len() {
            // In a constant, an index that is out of bounds fails the build.
            #[allow(clippy::indexing_slicing)]
            let cost = TABLE[place].cost as u8;
            if cost >= from as u8 && cost <= to as u8 {
                bits |= 1 << place;
            }
            place += 1;
        }
        Self(bits)
    }

    const fn identifying() -> Self {
        let (mut bits, mut place) = (0, 0);
        while place < TABLE.len() {
            #[allow(clippy::indexing_slicing)]
            let identifies = TABLE[place].identifies;
            if identifies {
                bits |= 1 << place;
            }
            place += 1;
        }
        Self(bits)
    }

    const fn named(names: &[&str]) -> Self {
        let (mut bits, mut place) = (0, 0);
        while place < TABLE.len() {
            let mut index = 0;
            while index < names.len() {
                #[allow(clippy::indexing_slicing)]
                let same = is_same(TABLE[place].name.as_bytes(), names[index].as_bytes());
                if same {
                    bits |= 1 << place;
                }
                index += 1;
            }
            place += 1;
        }
        Self(bits)
    }

    /// The attribute of the service's own called `name`; empty for any other name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        TABLE.iter().position(|attribute| attribute.name == name).map_or(Self::NONE, |place| Self(1 << place))
    }

    /// The site's own attribute at `place` of its declarations; empty beyond [`MAX_OWN`].
    #[must_use]
    pub fn own(place: usize) -> Self {
        if place < MAX_OWN { Self(1 << (FIRST_OWN + place)) } else { Self::NONE }
    }

    /// The attributes of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets share an attribute.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of this set is in `other`.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The attributes that both sets have.
    #[must_use]
    pub const fn shared_with(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of those of the service's own, in the order of the table.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        TABLE.iter().enumerate().filter(move |(place, _)| self.0 >> place & 1 == 1).map(|(_, attribute)| attribute.name)
    }
}

/// Whether two texts are the same, in a constant.
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        #[allow(clippy::indexing_slicing)]
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl FromIterator<FactSet> for FactSet {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::NONE, Self::and)
    }
}

impl fmt::Debug for FactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_follow_from_the_table() {
        let names = |set: FactSet| set.names().collect::<Vec<_>>();
        assert_eq!(names(FactSet::OF_THE_DEVICE), ["deviceType", "browser", "os"]);
        assert_eq!(names(FactSet::OF_THE_SESSION), ["segments", "session"]);
        assert_eq!(names(FactSet::IDS), ["id", "visitorId"]);
        assert_eq!(names(FactSet::IDENTIFYING), ["id", "userId", "visitorId", "loggedIn", "segments", "session"]);
        assert!(FactSet::of("country").and(FactSet::own(3)).meets(FactSet::own(3)));
        assert!(FactSet::of("nobody").is_empty() && FactSet::own(MAX_OWN).is_empty());
        assert!(
            FactSet::of("path").is_within(FactSet::OF_THE_URL) && !FactSet::of("region").is_within(FactSet::OF_THE_URL)
        );
    }

    #[test]
    fn the_table_fits_below_the_sites_own() {
        assert!(TABLE.len() <= FIRST_OWN && FIRST_OWN + MAX_OWN <= 64);
    }
}
