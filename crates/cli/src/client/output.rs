//! Turns answers into tables and JSON.

mod booking;
mod queue;
mod sale;
mod wait;
mod workers;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_proto::convert::from_timestamp;
use clap::ValueEnum;
use serde::Serialize;

pub use self::booking::BookingOutput;
pub use self::queue::QueueOutput;
pub use self::sale::{ItemOutput, item_name, outflow_words};
pub use self::wait::{WaitOutput, chance_word};
pub use self::workers::WorkersOutput;

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table with headers
    Table,
    /// One JSON object on each line
    Json,
}

/// A duration in whole seconds.
pub fn about(duration: Duration) -> String {
    DurationString::from_secs(duration.as_secs_f64().round() as u64).to_string()
}

/// In seconds, to the millisecond.
fn seconds(duration: &prost_types::Duration) -> f64 {
    duration.seconds as f64 + f64::from(duration.nanos / 1_000_000) / 1e3
}

/// RFC 3339, in UTC.
fn moment(at: &prost_types::Timestamp) -> String {
    let millis = i64::try_from(from_timestamp(at).0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map(|at| at.to_string()).unwrap_or_default()
}

/// One object on one line.
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)
}

/// Prints one row under its headers, which are the names in capitals. Empty cells are left out with
/// their headers.
fn print_table(cells: &[(&str, String)]) -> io::Result<()> {
    let (mut headers, mut row) = (String::new(), String::new());
    for (name, cell) in cells.iter().filter(|(_, cell)| !cell.is_empty()) {
        let header = name.replace('_', " ").to_uppercase();
        let width = header.len().max(cell.chars().count());
        // Writing to a string cannot fail.
        let _ = write!(headers, "{header:<width$}   ");
        let _ = write!(row, "{cell:<width$}   ");
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", headers.trim_end())?;
    writeln!(out, "{}", row.trim_end())
}
