//! `compare`: whether a change made something slower.
//!
//! The same machine is a third quicker or slower from hour to hour. Therefore each figure is
//! divided by a yardstick that was measured in the same run, and those ratios are compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::figures::Spread;
use crate::sections::{BARE, BEST_PEER, COUNTED, GRPC, LIFE, OPEN, OURS, PLAIN, RATIO, STORE};

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Figures from before, written by --out
    baseline: PathBuf,
    /// Figures from after
    new: PathBuf,
}

/// A smaller change of times is noise.
const MARGIN: f64 = 0.05;
/// The same for counts.
const COUNTED_MARGIN: f64 = 0.01;
/// Fewer runs have no range.
const ENOUGH_RUNS: usize = 3;

/// Machine, settings and figures of a run, as `--out` writes them.
#[derive(Debug)]
pub struct BenchReport(pub Value);

impl BenchReport {
    /// Reads the report of an earlier run.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        Ok(Self(serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?))
    }
}

/// Reads both reports and prints what changed.
pub fn run(args: &Args) -> Result<()> {
    let (baseline, new) = (BenchReport::read(&args.baseline)?, BenchReport::read(&args.new)?);
    print!("{}", comparison(&baseline, &new)?);
    Ok(())
}

/// How a figure changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureChange {
    /// It became worse.
    Slower,
    /// It became better.
    Faster,
    /// The medians are close, or the ranges overlap.
    WithinNoise,
    /// There are fewer than three runs.
    TooFewRuns,
}

impl FigureChange {
    const NAMES: [&str; 4] = ["slower", "faster", "within noise", "too few runs"];

    /// Of the ratios of a figure to its yardsticks, one for each run. Rates are better when they
    /// rise, everything else is a cost.
    pub fn of(before: &[f64], after: &[f64], column: &str, margin: f64) -> Self {
        if before.len().min(after.len()) < ENOUGH_RUNS {
            return Self::TooFewRuns;
        }
        let (old, new) = (Spread::of(before), Spread::of(after));
        let change = new.median / old.median;
        let apart = change.max(1.0 / change) > 1.0 + margin;
        let separate = new.min > old.max || new.max < old.min;
        match (apart && separate, (change > 1.0) == column.ends_with("/s")) {
            (false, _) => Self::WithinNoise,
            (true, true) => Self::Faster,
            (true, false) => Self::Slower,
        }
    }
}

/// A line for each figure of ours that both reports hold, and the totals.
pub fn comparison(baseline: &BenchReport, new: &BenchReport) -> Result<String> {
    let mut text = warnings(baseline, new);
    let (before, after) = (cells(baseline)?, cells(new)?);
    let mut counts = [0; FigureChange::NAMES.len()];
    for name @ [section, row, column] in after.keys() {
        let Some(mut yardsticks) = yardsticks(&after, name) else { continue };
        // The same yardsticks for both reports.
        yardsticks.retain(|yardstick| before.contains_key(*yardstick));
        let (Some(old), Some(new)) =
            (ratios(&before, name, &yardsticks), ratios(&after, name, &yardsticks))
        else {
            continue;
        };
        let margin = if section == COUNTED { COUNTED_MARGIN } else { MARGIN };
        let change = FigureChange::of(&old, &new, column, margin) as usize;
        counts[change] += 1;
        let percent = (Spread::of(&new).median / Spread::of(&old).median - 1.0) * 100.0;
        let name = FigureChange::NAMES[change];
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<12}  {percent:+7.1} %  {section}: {row}: {column}");
    }
    let totals: Vec<_> = counts
        .iter()
        .zip(FigureChange::NAMES)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let totals = totals.join(", ");
    let _ = writeln!(text, "\n{totals}; each figure divided by the yardstick of its own run");
    Ok(text)
}

/// What makes the reports hard to compare, one line each.
fn warnings(baseline: &BenchReport, new: &BenchReport) -> String {
    let mut text = String::new();
    for part in ["machine", "settings", "pinned"] {
        let (mut before, mut after) = (baseline.0[part].clone(), new.0[part].clone());
        for value in [&mut before, &mut after] {
            // The order of the runs is meant to differ.
            value.as_object_mut().map(|settings| settings.remove("seed"));
        }
        if before != after {
            let _ = writeln!(text, "warning: {part} was {before}, is {after}");
        }
    }
    text
}

/// Section, row, column.
type CellName = [String; 3];
type Cells = BTreeMap<CellName, Vec<f64>>;

fn cells(report: &BenchReport) -> Result<Cells> {
    let sections = report.0["figures"].as_object();
    let sections = sections.context("the file holds no figures; was it written by --out?")?;
    let mut cells = Cells::new();
    for (section, rows) in sections {
        for (row, columns) in rows.as_object().into_iter().flatten() {
            for (column, figure) in columns.as_object().into_iter().flatten() {
                let runs = figure["runs"].as_array().into_iter().flatten();
                let name = [section, row, column].map(String::clone);
                cells.insert(name, runs.filter_map(Value::as_f64).collect());
            }
        }
    }
    Ok(cells)
}

/// Run by run, divided by the geometric mean of the yardsticks; undivided if there are none.
fn ratios(cells: &Cells, name: &CellName, yardsticks: &[&CellName]) -> Option<Vec<f64>> {
    let mut ratios = cells.get(name)?.clone();
    let share = 1.0 / yardsticks.len() as f64;
    for yardstick in yardsticks {
        for (ratio, measure) in ratios.iter_mut().zip(cells.get(*yardstick)?) {
            *ratio /= measure.powf(share);
        }
    }
    Some(ratios)
}

/// The cells that a figure of ours is divided by; `None` for a yardstick, and for a figure that is
/// not about speed.
fn yardsticks<'a>(
    cells: &'a Cells,
    [section, row, column]: &CellName,
) -> Option<Vec<&'a CellName>> {
    let rows_of = |section: &str, column: &str, wanted: &dyn Fn(&str) -> bool| {
        let found =
            cells.keys().filter(|[of, row, name]| of == section && name == column && wanted(row));
        Some(found.collect())
    };
    let plain = |column: &str| rows_of(PLAIN, column, &|_| true);
    let bare = |column: &str| rows_of(GRPC, column, &|row| row == BARE);
    match section.as_str() {
        // Each run of an open loop has another rate, and its tail is random.
        PLAIN | RATIO | BEST_PEER | OPEN => None,
        GRPC if row == BARE => None,
        COUNTED => Some(vec![]),
        STORE | GRPC | LIFE => match column.as_str() {
            "script calls/booking" => Some(vec![]),
            "bookings/s" if section == STORE => plain("commands/s"),
            "bookings/s" => bare("requests/s"),
            "payment p50 ms" => bare("p50 ms"),
            "payment p99 ms" => bare("p99 ms"),
            cost if cost.starts_with("Redis µs") => plain("Redis µs/command"),
            column => bare(column),
        },
        _ if !row.starts_with(OURS) => None,
        _ if column == "script calls/job" => Some(vec![]),
        section => rows_of(section, column, &|row| !row.starts_with(OURS)),
    }
}
