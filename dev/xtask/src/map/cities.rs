//! The ten cities, and how far they are from each other.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, ensure};
use local_server::visitors::Visitor;

/// Measured round trips, with their source.
const PUBLISHED: &str = include_str!("latency.csv");

/// A city of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct City {
    /// Its name in the table of round trips.
    pub name: &'static str,
    /// Somebody there, at a loopback address that no other city has.
    pub visitor: Visitor,
}

/// Country, subdivision, continent and name in small letters, as Fastly's geolocation has them.
const PLACES: [(&str, &str, &str, &str, &str); 10] = [
    ("Dallas", "US", "TX", "NA", "dallas"),
    ("Toronto", "CA", "ON", "NA", "toronto"),
    ("Washington", "US", "DC", "NA", "washington"),
    ("Frankfurt", "DE", "HE", "EU", "frankfurt"),
    ("London", "GB", "ENG", "EU", "london"),
    ("Madrid", "ES", "MD", "EU", "madrid"),
    ("Osaka", "JP", "27", "AS", "osaka"),
    ("Sydney", "AU", "NSW", "OC", "sydney"),
    ("Tokyo", "JP", "13", "AS", "tokyo"),
    ("Sao Paulo", "BR", "SP", "SA", "sao paulo"),
];
/// The last number of the first visitor's address: below it are the demo's visitors.
const FIRST_ADDRESS: u8 = 100;

/// Round trips between cities.
#[derive(Debug)]
pub struct Latencies {
    cities: Vec<City>,
    /// From each city in the order of `cities`, to each in the order of the table's head, in milliseconds.
    rows: Vec<(String, Vec<u32>)>,
    head: Vec<String>,
}

impl Latencies {
    /// Those of `latency.csv`.
    ///
    /// # Errors
    ///
    /// The file isn't what [`parse`](Self::parse) reads.
    pub fn published() -> anyhow::Result<Self> {
        Self::parse(PUBLISHED)
    }

    /// Comments begin with `#`; then a head `from,…` with the cities, then a row of whole milliseconds for each city.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let head = lines.next().context("expected a line with the cities, but found none")?;
        let head: Vec<String> = head.split(',').skip(1).map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for line in lines {
            let mut fields = line.split(',').map(str::trim);
            let from = fields.next().unwrap_or_default().to_owned();
            let times: Vec<u32> = fields
                .map(|field| field.parse().with_context(|| format!("expected milliseconds, but found {field:?}")))
                .collect::<Result<_, _>>()
                .with_context(|| format!("round trips from {from}"))?;
            ensure!(
                times.len() == head.len(),
                "expected {} round trips from {from}, but found {}",
                head.len(),
                times.len()
            );
            rows.push((from, times));
        }
        let cities = (FIRST_ADDRESS..).zip(PLACES).map(|(last, (name, country, subdivision, continent, city))| City {
            name,
            visitor: Visitor {
                address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)),
                country,
                subdivision,
                continent,
                city,
            },
        });
        let cities: Vec<City> = cities.collect();
        for city in &cities {
            ensure!(rows.iter().any(|(from, _)| from == city.name), "expected round trips from {}", city.name);
        }
        Ok(Self { cities, rows, head })
    }

    /// All cities.
    pub fn cities(&self) -> &[City] {
        &self.cities
    }

    /// The city of a name.
    ///
    /// # Errors
    ///
    /// There is none; the error lists those that are.
    pub fn city(&self, name: &str) -> anyhow::Result<&City> {
        let names = || self.cities.iter().map(|city| city.name).collect::<Vec<_>>().join(", ");
        let same = |city: &&City| city.name.eq_ignore_ascii_case(name);
        self.cities.iter().find(same).with_context(|| format!("expected one of {}, but found {name:?}", names()))
    }

    /// From one city to another and back. Within a city it is 0.
    ///
    /// # Errors
    ///
    /// The table doesn't have both.
    pub fn round_trip(&self, from: &City, to: &City) -> anyhow::Result<Duration> {
        let row = self.rows.iter().find(|(name, _)| name == from.name).map(|(_, times)| times);
        let place = self.head.iter().position(|name| name == to.name);
        let found = row.zip(place).and_then(|(times, place)| times.get(place));
        let milliseconds = found.with_context(|| format!("no round trip from {} to {}", from.name, to.name))?;
        Ok(Duration::from_millis((*milliseconds).into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn the_round_trips_are_those_that_were_published() {
        let latencies = Latencies::published().unwrap();
        let trip = |from: &str, to: &str| {
            latencies.round_trip(latencies.city(from).unwrap(), latencies.city(to).unwrap()).unwrap().as_millis()
        };
        assert_eq!(latencies.cities().len(), 10);
        assert_eq!(trip("Sydney", "Frankfurt"), 250);
        assert_eq!(trip("Osaka", "sao paulo"), 292);
        assert_eq!(trip("Frankfurt", "Frankfurt"), 0);
        assert!(PUBLISHED.starts_with('#') && PUBLISHED.contains("Source: "), "the figures' source is named");
    }

    #[test]
    fn a_city_that_is_not_there_is_answered_with_those_that_are() {
        let error = Latencies::published().unwrap().city("Paris").unwrap_err().to_string();
        assert!(error.starts_with("expected one of Dallas, Toronto, "), "{error}");
        assert!(error.ends_with("but found \"Paris\""), "{error}");
    }

    #[test]
    fn a_broken_table_is_refused_with_its_place() {
        let error = format!("{:#}", Latencies::parse("from,Dallas\nDallas,fast\n").unwrap_err());
        assert_eq!(
            error,
            "round trips from Dallas: expected milliseconds, but found \"fast\": invalid digit found in string"
        );
        let error = Latencies::parse("from,Dallas,Tokyo\nDallas,0\n").unwrap_err().to_string();
        assert_eq!(error, "expected 2 round trips from Dallas, but found 1");
    }
}
