//! Orders that are known elsewhere: a CSV file with a column of units, as `personalizer pseudonym` makes it.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::moment::{self, Micros};
use super::names::Names;
use super::read::event_id;
use super::seen::hash;
use super::units::{Done, Source, Units, unit_of};

/// What an order is called where no column `event` says it.
const EVENT: &str = "order";

/// How many rows there were.
#[derive(Debug, Default)]
pub struct Orders {
    /// Rows that count.
    pub rows: u64,
    /// Rows outside of `--from` and `--to`.
    pub outside: u64,
    /// Rows that can't be read.
    pub broken: u64,
    /// The first of them: where it is, and what is wrong with it.
    pub first_broken: Option<String>,
    /// The time of the last one.
    pub last: Option<Micros>,
    /// Whose they are.
    pub units: HashSet<u128, foldhash::fast::FixedState>,
}

impl Orders {
    fn is_broken(&mut self, row: u64, why: &str) {
        self.broken += 1;
        self.first_broken.get_or_insert_with(|| format!("row {row}: it {why}"));
    }
}

/// Reads `unit_id` and `timestamp`, and what there is of `event_id`, `value`, `currency`, `event`, `unit_type`. An order that the logs have
/// too, under the same `event_id`, counts once. Rows before `from`, and from `to` on, are left out.
///
/// # Errors
///
/// The file can't be read, or has no such columns.
pub fn read(
    path: &Path,
    (from, to): (Option<Micros>, Option<Micros>),
    names: &Names,
    units: &Units,
) -> anyhow::Result<Orders> {
    let place = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("{place}: can't be read"))?;
    let head = reader.headers().with_context(|| format!("{place}: can't be read"))?.clone();
    let column = |name: &str| head.iter().position(|found| found == name);
    let (Some(unit), Some(timestamp)) = (column("unit_id"), column("timestamp").or_else(|| column("time"))) else {
        bail!(
            "{place}: expected the columns unit_id and timestamp (and event_id, value, currency, event, unit_type, where there are), but found \
             {}. `personalizer pseudonym` adds unit_id to a file of ids",
            head.iter().collect::<Vec<_>>().join(", ")
        );
    };
    let [id, value, currency, event, kind] = ["event_id", "value", "currency", "event", "unit_type"].map(column);
    let mut orders = Orders::default();
    let mut row = csv::StringRecord::new();
    let mut number = 1_u64;
    loop {
        number += 1;
        match reader.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(orders),
            Err(error) => {
                orders.is_broken(number, if error.is_io_error() { "can't be read" } else { "isn't UTF-8" });
                continue;
            }
        }
        let cell = |column: Option<usize>| column.and_then(|column| row.get(column)).filter(|text| !text.is_empty());
        let amount = cell(value).map(|text| text.parse::<f64>().ok().filter(|value| value.is_finite()));
        let Some(unit) = cell(Some(unit)) else {
            orders.is_broken(number, "has no unit_id");
            continue;
        };
        let time = cell(Some(timestamp)).unwrap_or_default();
        let Some(at) = moment::read(time) else {
            orders.is_broken(number, &format!("has no time as 2026-11-27T08:00:00Z, but '{time}'"));
            continue;
        };
        if let Some(None) = amount {
            orders.is_broken(number, &format!("has no number as its value, but '{}'", cell(value).unwrap_or_default()));
            continue;
        }
        if from.is_some_and(|from| at < from) || to.is_some_and(|to| at >= to) {
            orders.outside += 1;
            continue;
        }
        let event = cell(event).unwrap_or(EVENT);
        let done = Done {
            unit: unit_of(unit),
            at,
            event: names.number(event),
            value: amount.flatten(),
            currency: names.number(cell(currency).unwrap_or_default()),
            source: Source::Trusted,
        };
        let kind = cell(kind).unwrap_or("id").as_bytes();
        let id = match cell(id) {
            Some(id) => event_id(kind, event, id, Source::Trusted),
            None => hash(&[b"row", place.to_string().as_bytes(), &number.to_be_bytes()]),
        };
        orders.units.insert(done.unit);
        units.report(id, done);
        orders.rows += 1;
        orders.last = orders.last.max(Some(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (anyhow::Result<Orders>, Vec<Done>, usize) {
        read_within((None, None), text)
    }

    fn read_within(time: (Option<Micros>, Option<Micros>), text: &str) -> (anyhow::Result<Orders>, Vec<Done>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.csv");
        std::fs::write(&path, text).unwrap();
        let names = Names::default();
        let units = Units::new(1_000, names.number(""));
        let orders = read(&path, time, &names, &units);
        let repeated = units.repeated();
        (orders, units.taken().1, repeated)
    }

    #[test]
    fn an_order_that_stands_twice_counts_once_and_a_broken_row_is_counted() {
        let (orders, done, repeated) = read_text(
            "order,unit_id,timestamp,event_id,value\n\
             1,00000000000000000000000000000001,2026-11-24T10:00:00Z,o1,5\n\
             1,00000000000000000000000000000001,2026-11-24T11:00:00Z,o1,5\n\
             2,00000000000000000000000000000002,yesterday,o2,5\n\
             3,00000000000000000000000000000003,2026-11-24T10:00:00Z,o3,a lot\n\
             5,00000000000000000000000000000003,2026-11-24T10:00:00Z,o5,NaN\n\
             4,00000000000000000000000000000004,2026-11-24T10:00:00Z,,\n",
        );
        let orders = orders.unwrap();
        assert_eq!((orders.rows, orders.broken, done.len(), repeated), (3, 3, 2, 1));
        assert_eq!(done[0].value, Some(5.0));
    }

    #[test]
    fn rows_of_another_time_are_left_out_and_counted() {
        let day = |text| moment::read(text);
        let (orders, done, _) = read_within(
            (day("2026-11-24T00:00:00Z"), day("2026-11-25T00:00:00Z")),
            "unit_id,timestamp\nu,2026-11-23T23:59:59Z\nu,2026-11-24T00:00:00Z\nu,2026-11-25T00:00:00Z\n",
        );
        let orders = orders.unwrap();
        assert_eq!((orders.rows, orders.outside, orders.broken, done.len()), (1, 2, 0, 1));
    }

    #[test]
    fn a_file_without_units_is_refused_with_the_way_to_make_them() {
        let (orders, ..) = read_text("id,total\n1,2\n");
        let error = format!("{:#}", orders.unwrap_err());
        assert!(error.contains("but found id, total. `personalizer pseudonym`"), "{error}");
    }
}
