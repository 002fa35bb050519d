//! docs/MAP.md: the tables, and what they are about.

use std::time::Duration;

use anyhow::Context;
use local_server::VICEROY_VERSION;

use super::cities::City;
use super::measure::{Measured, Page, Times};
use super::stand::Near;
use super::ways::{WAYS, Way};
use crate::bench::report::{machine, percentile};

/// A run, and where it was about.
pub struct Report<'m> {
    /// Where the central data centre is.
    pub central: &'m City,
    /// Round trips that aren't the table's.
    pub near: Near,
    /// Pages in each way.
    pub pages: u32,
    /// By city.
    pub measured: &'m [Measured],
}

/// Which of the two times.
type Which = fn(&Times) -> &Vec<f64>;

const FIRST_BYTE: Which = |times| &times.first_byte;
/// The code of a page whose vCPU budget ran out.
const BUDGET: &str = "html-budget";
const WHOLE: Which = |times| &times.whole;

impl Report<'_> {
    /// The cities, those that are near the data centre first.
    pub fn by_distance(&self) -> Vec<&Measured> {
        let mut cities: Vec<&Measured> = self.measured.iter().collect();
        cities.sort_by_key(|measured| (measured.apart, measured.city.name));
        cities
    }

    /// Milliseconds to the first byte of a page, at the median.
    pub fn first_byte(&self, measured: &Measured, way: Way, page: Page) -> anyhow::Result<f64> {
        Ok(percentile(times(measured, way, page)?.first_byte.clone(), 50.0))
    }

    /// The sentence that README.md has, too.
    pub fn summary(&self) -> anyhow::Result<String> {
        let central = self.central.name;
        let [next, first] = [self.costs(Page::Next)?, self.costs(Page::First)?];
        Ok(format!(
            "A page that is made in {central} comes **{next} ms** later to a visitor of another continent than one that is made at the edge, and the \
             first page of a visit **{first} ms** later. If the page is made near the visitor, and what decides it is asked of \
             {central}, each call costs that again."
        ))
    }

    /// How much later a page of the central data centre comes to visitors of other continents: from the least to the most, in tens.
    fn costs(&self, page: Page) -> anyhow::Result<String> {
        let mut later = Vec::new();
        for measured in self.measured {
            if measured.city.visitor.continent != self.central.visitor.continent {
                let central = self.first_byte(measured, Way::Central(1), page)?;
                later.push(central - self.first_byte(measured, Way::EdgeSession, page)?);
            }
        }
        let tens = |milliseconds: f64| (milliseconds / 10.0).round() * 10.0;
        let (least, most) =
            later.iter().fold((f64::MAX, f64::MIN), |(least, most), one| (least.min(*one), most.max(*one)));
        Ok(format!("{:.0} to {:.0}", tens(least), tens(most)))
    }

    /// The four tables.
    pub fn tables(&self) -> anyhow::Result<String> {
        let central = self.central.name;
        let next = self.table("Next page: the browser is connected", Page::Next)?;
        let first = self.table("First page: the browser has to connect", Page::First)?;
        let late: Vec<_> = self.without_session()?;
        let late = if late.is_empty() {
            "Every session from afar was there in time.".to_owned()
        } else {
            format!(
                "A session that has to be asked of {central} is waited for no longer than `settings.session.budget_ms` (100 ms). Visitors in {} get \
                 the page without it, each time. So sessions are better streamed to the edge before somebody asks ([SESSIONS.md](SESSIONS.md)).",
                late.join(", ")
            )
        };
        Ok(format!("{next}\n{first}\n{late}\n"))
    }

    /// Cities whose pages came without the session that was asked for.
    fn without_session(&self) -> anyhow::Result<Vec<&'static str>> {
        let mut late = Vec::new();
        for measured in self.by_distance() {
            let times = times(measured, Way::EdgeAsked, Page::Next)?;
            if times.with_session * 2 < times.whole.len() {
                late.push(measured.city.name);
            }
        }
        Ok(late)
    }

    /// Pages that the service didn't rewrite; the codes say why.
    pub fn left_out(&self) -> String {
        let again: usize = self.measured.iter().map(|measured| measured.again).sum();
        let all = self.measured.len() * WAYS.len() * 2 * self.pages as usize;
        let budget: usize = self.measured.iter().filter_map(|measured| measured.errors.get(BUDGET)).sum();
        if again == 0 {
            return format!("All {all} pages were personalized.");
        }
        format!(
            "{again} pages beside these {all} were not personalized, and are left out: this machine was busy ({budget} times the service said \
             `{BUDGET}`)."
        )
    }

    fn table(&self, title: &str, page: Page) -> anyhow::Result<String> {
        let mut lines = Vec::new();
        for (what, which) in [("first byte", FIRST_BYTE), ("whole page", WHOLE)] {
            lines.push(format!("### {title}, {what}\n"));
            let heads = WAYS.map(|way| way.title(self.central.name)).join(" | ");
            lines.push(format!("| visitor in | round trip | {heads} |"));
            lines.push(format!("| --- | ---: |{}", " ---: |".repeat(WAYS.len())));
            for measured in self.by_distance() {
                let mut cells = Vec::new();
                for way in WAYS {
                    let values = which(times(measured, way, page)?);
                    let [middle, high] = [50.0, 95.0].map(|share| percentile(values.clone(), share));
                    cells.push(format!("{middle:.0} ({high:.0})"));
                }
                lines.push(format!(
                    "| {} | {} | {} |",
                    measured.city.name,
                    measured.apart.as_millis(),
                    cells.join(" | ")
                ));
            }
            lines.push(String::new());
        }
        Ok(lines.join("\n"))
    }

    /// The whole page.
    pub fn document(&self) -> anyhow::Result<String> {
        let (central, pages, tables, summary) = (self.central.name, self.pages, self.tables()?, self.summary()?);
        let milliseconds = |time: Duration| time.as_millis();
        let (last_mile, beside) = (milliseconds(self.near.last_mile), milliseconds(self.near.beside));
        let machine = machine();
        let again = self.left_out();
        Ok(format!(
            "# The map: what distance costs

Written by `cargo xtask map`. Visitors in ten cities ask for one page of the demo shop. It is personalized for them at the edge, in their own
city, or with the help of a data centre in {central}.

{summary}

![For each city: the edge answers within a few milliseconds, {central} after one round trip, two and three calls to it after two and three](images/map.svg)

## The ways

| way | what travels |
| --- | --- |
| edge: hit | Nothing leaves the city: the origin's page is in the edge's cache. The visitor is new. |
| edge: hit, session | The same, and the visitor's session is in the edge's KV store. The page shows what they looked at, and their cart. |
| edge: hit, session afar | The KV store doesn't have the session: one round trip to the session API in {central}. |
| edge: miss | The session is at hand. The origin's page is not in the cache: one round trip to {central}. |
| {central}: *n* calls | The browser is connected with {central}. A backend there makes *n* calls to services beside it, then the page. |
| near: *n* calls | A server in the visitor's city asks {central} *n* times, one after the other (who is this, which offer, which products), then makes the page. |

## What visitors wait for

Milliseconds at the median, and at the 95th percentile in brackets. *Round trip* is the one between the visitor's city and {central}.

{tables}
## What is measured, what is simulated

* **The page is the same in every way** with a session; the run compares. The same `edge-personalizer.wasm` makes it each time, in the local server
  (Viceroy {VICEROY_VERSION}), from the rules of `rules/`. So nothing differs but the way. A real central backend needs time of its own for the
  page, too: that is left out, in its favour.
* **Measured**: bytes on sockets of this machine, from a request's end to its answer's first and last byte; {pages} pages for each figure, all ways in
  turn, all cities at the same time. One page of six is the first of its sandbox, as the local server deals them out.
  {again}
* **Round trips between cities** are averages that IBM Cloud published for its data centres in September 2024
  (`dev/xtask/src/map/latency.csv` names the source). A relay on this machine holds all bytes back for half of it each way. It adds no jitter,
  loses nothing, and doesn't limit bandwidth. So the 95th percentile shows this machine, not a network.
* **The visitor's own line** costs {last_mile} ms in every way (`--last-mile`), and two servers in one data centre are {beside} ms apart (`--beside`). Both are
  assumptions, and so is that the edge is in the visitor's own city.
* **Connecting** costs a browser two round trips before its first request: TCP, TLS 1.3. No real TLS is spoken. Between data centres connections
  are kept open, and cost none.
* **The edge's cache** is a small one between the service and the origin, because the local server has none. It keeps pages by the
  [key that the service gives to the platform](CACHING.md#what-is-shared-at-the-edge), and each answer says whether it was a hit. It stands beside
  the service and costs next to nothing.
* **The KV store** is the local server's: it answers at once. Fastly's needs mostly less than a millisecond; a value that isn't replicated yet takes
  longer.
* The page has some 5 kB, so it comes in one flight. A larger one costs more round trips while a connection is young: more for who is far away.

## Run it

```sh
cargo xtask map                     # some eight minutes
cargo xtask map --quick             # a look; this page stays as it is
cargo xtask map --central Dallas    # another data centre; this page stays as it is
```

{machine}"
        ))
    }
}

/// What was measured.
fn times(measured: &Measured, way: Way, page: Page) -> anyhow::Result<&Times> {
    measured.times.get(&(way, page)).with_context(|| format!("{way:?} was not measured from {}", measured.city.name))
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

    use std::collections::{BTreeMap, HashMap};
    use std::fs;

    use super::super::cities::Latencies;
    use super::*;
    use crate::project;

    /// Round trips as they are published, and a millisecond of work for each page.
    pub fn made_up(latencies: &Latencies) -> Vec<Measured> {
        let central = latencies.city("Frankfurt").unwrap();
        let one = |city: &City| {
            let apart = latencies.round_trip(city, central).unwrap();
            let mut times = HashMap::new();
            for way in WAYS {
                for page in [Page::First, Page::Next] {
                    let (connecting, trips) = way.trips();
                    let all = trips + if page == Page::First { connecting } else { 0 };
                    let first_byte = (apart * u32::try_from(all).unwrap()).as_secs_f64() * 1000.0 + 11.0;
                    let whole = vec![first_byte + 1.0; 4];
                    let with_session = if apart.as_millis() < 100 { 4 } else { 0 };
                    times.insert((way, page), Times { first_byte: vec![first_byte; 4], whole, with_session });
                }
            }
            Measured { city: city.clone(), apart, times, again: 0, errors: BTreeMap::new() }
        };
        latencies.cities().iter().map(one).collect()
    }

    /// A report of them.
    pub fn report<'m>(latencies: &'m Latencies, measured: &'m [Measured]) -> Report<'m> {
        let near = Near { last_mile: Duration::from_millis(10), beside: Duration::from_millis(1) };
        Report { central: latencies.city("Frankfurt").unwrap(), near, pages: 4, measured }
    }

    #[test]
    fn the_tables_have_each_city_from_near_to_far_and_each_way() {
        let latencies = Latencies::published().unwrap();
        let measured = made_up(&latencies);
        let tables = report(&latencies, &measured).tables().unwrap();
        let rows: Vec<&str> = tables.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows.len(), 4 * (2 + 10), "{tables}");
        let next = |city: &str| *rows.iter().find(|row| row.starts_with(&format!("| {city}"))).unwrap();
        assert!(rows[2].starts_with("| Frankfurt | 0 |") && rows[11].starts_with("| Sydney | 250 |"), "{tables}");
        assert_eq!(
            next("Sydney"),
            "| Sydney | 250 | 11 (11) | 11 (11) | 261 (261) | 261 (261) | 261 (261) | 261 (261) | 261 (261) | 261 (261) | 511 (511) \
             | 761 (761) |"
        );
        assert!(
            tables.contains("Visitors in Dallas, Sao Paulo, Tokyo, Osaka, Sydney get the page without it"),
            "{tables}"
        );
    }

    #[test]
    fn the_summary_is_about_other_continents() {
        let latencies = Latencies::published().unwrap();
        let measured = made_up(&latencies);
        let summary = report(&latencies, &measured).summary().unwrap();
        assert!(summary.contains("**90 to 250 ms** later") && summary.contains("**270 to 750 ms** later"), "{summary}");
    }

    #[test]
    fn the_readme_says_what_the_map_shows() {
        let root = project::root().unwrap();
        let map = fs::read_to_string(root.join("docs/MAP.md")).unwrap();
        let readme = fs::read_to_string(root.join("README.md")).unwrap();
        let shown = map.split("**").nth(1).unwrap();
        assert!(shown.ends_with(" ms"), "{shown}");
        let said = format!("[{shown}](docs/MAP.md)");
        assert!(readme.contains(&said), "README.md should say {said}, as docs/MAP.md does");
    }
}
