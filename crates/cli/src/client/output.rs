//! The one place that turns answers into tables and JSON.

mod booking;
mod queue;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_proto::convert::from_timestamp;
use clap::ValueEnum;
use serde::Serialize;

pub use self::booking::Booking;
pub use self::queue::Queue;

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    Table,
    /// One JSON object; where there are many, one on each line.
    Json,
}

/// A duration with no more precision than a person wants.
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

/// Columns as wide as their widest cell. A column in which nobody has anything to say is left out.
fn print_table(headers: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut lines = vec![String::new(); rows.len() + 1];
    for (column, header) in headers.iter().enumerate() {
        let cells: Vec<&str> = rows.iter().map(|row| row[column].as_str()).collect();
        if cells.iter().all(|cell| cell.is_empty()) {
            continue;
        }
        let width =
            cells.iter().chain([header]).map(|cell| cell.chars().count()).max().unwrap_or(0);
        for (line, cell) in lines.iter_mut().zip(std::iter::once(*header).chain(cells)) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:<width$}   ");
        }
    }
    let mut out = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}
