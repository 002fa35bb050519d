//! Visitors: the local server takes the address that a connection comes from, and looks it up in the manifest.

use std::net::{IpAddr, Ipv4Addr};

/// Someone somewhere. The local server finds nothing unless every field but the region is there, so all are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// The loopback address that stands for the visitor's own.
    pub address: IpAddr,
    /// ISO 3166-1 alpha-2; `**` where Fastly doesn't know.
    pub country: &'static str,
    /// ISO 3166-2 without the country; empty where there is none.
    pub subdivision: &'static str,
    /// `AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`.
    pub continent: &'static str,
    /// Lower case, as Fastly writes it.
    pub city: &'static str,
}

impl Visitor {
    const fn new(
        last: u8,
        country: &'static str,
        subdivision: &'static str,
        continent: &'static str,
        city: &'static str,
    ) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), country, subdivision, continent, city }
    }

    /// The geolocation entry, defaults in the fields that nobody asks for.
    #[must_use]
    pub fn geolocation(&self) -> toml::Table {
        let mut entry = toml::Table::new();
        let texts = [
            ("as_name", "Demo Network"),
            ("city", self.city),
            ("conn_speed", "broadband"),
            ("conn_type", "wired"),
            ("continent", self.continent),
            ("country_code", self.country),
            ("country_code3", "***"),
            ("country_name", self.country),
            ("postal_code", "00000"),
            ("proxy_description", "?"),
            ("proxy_type", "?"),
        ];
        for (key, value) in texts {
            entry.insert(key.to_owned(), value.into());
        }
        for key in ["area_code", "as_number", "metro_code", "utc_offset"] {
            entry.insert(key.to_owned(), 0.into());
        }
        for key in ["latitude", "longitude"] {
            entry.insert(key.to_owned(), 0.0.into());
        }
        if !self.subdivision.is_empty() {
            entry.insert("region".to_owned(), self.subdivision.into());
        }
        entry
    }
}

/// California.
pub const SAN_FRANCISCO: Visitor = Visitor::new(10, "US", "CA", "NA", "san francisco");
/// New York.
pub const NEW_YORK: Visitor = Visitor::new(11, "US", "NY", "NA", "new york");
/// Washington State.
pub const SEATTLE: Visitor = Visitor::new(12, "US", "WA", "NA", "seattle");
/// Massachusetts.
pub const BOSTON: Visitor = Visitor::new(13, "US", "MA", "NA", "boston");
/// France.
pub const PARIS: Visitor = Visitor::new(14, "FR", "IDF", "EU", "paris");
/// Germany.
pub const BERLIN: Visitor = Visitor::new(15, "DE", "BE", "EU", "berlin");
/// United Kingdom.
pub const LONDON: Visitor = Visitor::new(16, "GB", "ENG", "EU", "london");
/// Japan.
pub const TOKYO: Visitor = Visitor::new(17, "JP", "13", "AS", "tokyo");
/// Australia.
pub const SYDNEY: Visitor = Visitor::new(18, "AU", "NSW", "OC", "sydney");
/// India.
pub const MUMBAI: Visitor = Visitor::new(19, "IN", "MH", "AS", "mumbai");
/// Brazil.
pub const SAO_PAULO: Visitor = Visitor::new(20, "BR", "SP", "SA", "sao paulo");
/// South Africa.
pub const JOHANNESBURG: Visitor = Visitor::new(21, "ZA", "GP", "AF", "johannesburg");
/// Canada, whose province codes must not pass for US states.
pub const TORONTO: Visitor = Visitor::new(22, "CA", "ON", "NA", "toronto");
/// An address that Fastly knows without knowing its country.
pub const UNKNOWN_COUNTRY: Visitor = Visitor::new(23, "**", "", "NA", "?");
/// An address without a geolocation entry: a private one, or one that nobody has located yet.
pub const NOWHERE: Visitor = Visitor::new(99, "", "", "", "");

/// Everyone who has a geolocation entry.
pub const LOCATED: [Visitor; 14] = [
    SAN_FRANCISCO,
    NEW_YORK,
    SEATTLE,
    BOSTON,
    PARIS,
    BERLIN,
    LONDON,
    TOKYO,
    SYDNEY,
    MUMBAI,
    SAO_PAULO,
    JOHANNESBURG,
    TORONTO,
    UNKNOWN_COUNTRY,
];
