//! `compare`: whether a change made something slower, told by what each run measured beside its own
//! yardsticks.
//!
//! The same machine is a third quicker or slower from hour to hour. So no figure is compared with
//! the figure of another run: each is divided by a yardstick that was measured in the same run, and
//! those ratios are compared.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use crate::engine;
use crate::figures::Spread;
use crate::instructions;
use crate::peers;
use crate::report::Report;

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Figures from before, written by --out
    baseline: PathBuf,
    /// Figures from after
    new: PathBuf,
}

/// A change of times below this is nobody's.
const MARGIN: f64 = 0.05;
/// The same of what is counted and not timed.
const COUNTED_MARGIN: f64 = 0.01;
/// Runs that make a range.
const ENOUGH_RUNS: usize = 3;

/// Reads both and prints what changed.
pub fn run(args: &Args) -> Result<()> {
    let (baseline, new) = (Report::read(&args.baseline)?, Report::read(&args.new)?);
    print!("{}", verdicts(&baseline, &new)?);
    Ok(())
}

/// What became of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskOutcome {
    Slower,
    Faster,
    WithinNoise,
    TooFewRuns,
}

impl TaskOutcome {
    const ALL: [Self; 4] = [Self::Slower, Self::Faster, Self::WithinNoise, Self::TooFewRuns];

    fn as_str(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::WithinNoise => "within noise",
            Self::TooFewRuns => "too few runs",
        }
    }

    /// Of a figure's ratios to its yardstick. Different only if the medians are apart and the
    /// ranges have nothing in common.
    fn of(before: &[f64], after: &[f64], better: Better, margin: f64) -> Self {
        if before.len().min(after.len()) < ENOUGH_RUNS {
            return Self::TooFewRuns;
        }
        let (old, new) = (Spread::of(before), Spread::of(after));
        let change = new.median / old.median;
        let apart = change.max(1.0 / change) > 1.0 + margin;
        let separate = new.min > old.max || new.max < old.min;
        match (apart && separate, (change > 1.0) == (better == Better::More)) {
            (false, _) => Self::WithinNoise,
            (true, true) => Self::Faster,
            (true, false) => Self::Slower,
        }
    }
}

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    More,
    Less,
}

impl Better {
    /// Rates say so; all else is a cost.
    fn of(column: &str) -> Self {
        if column.ends_with("/s") { Self::More } else { Self::Less }
    }
}

/// A line for each figure of ours that is in both, and the sum of it.
pub fn verdicts(baseline: &Report, new: &Report) -> Result<String> {
    let mut text = differences(baseline, new);
    let (before, after) = (Cells::of(baseline)?, Cells::of(new)?);
    let mut counts = [0; TaskOutcome::ALL.len()];
    for (section, row, column) in after.names() {
        let Some(yardsticks) = yardsticks(&after, section, row, column) else { continue };
        // Both runs by the same yardsticks, or not at all.
        let shared = |name: &Name| before.runs(name).is_some();
        let yardsticks: Vec<_> = yardsticks.into_iter().filter(shared).collect();
        let name = (section.to_owned(), row.to_owned(), column.to_owned());
        let (Some(old), Some(new)) =
            (before.ratios(&name, &yardsticks), after.ratios(&name, &yardsticks))
        else {
            continue;
        };
        let margin = if section == instructions::COUNTED { COUNTED_MARGIN } else { MARGIN };
        let verdict = TaskOutcome::of(&old, &new, Better::of(column), margin);
        counts[verdict as usize] += 1;
        let change = (Spread::of(&new).median / Spread::of(&old).median - 1.0) * 100.0;
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{:<12}  {change:+7.1} %  {section}: {row}: {column}", verdict.as_str());
    }
    let sum = TaskOutcome::ALL
        .map(|verdict| format!("{} {}", counts[verdict as usize], verdict.as_str()));
    let _ =
        writeln!(text, "\n{}; each figure divided by the yardstick of its own run", sum.join(", "));
    Ok(text)
}

/// What makes the two hard to compare, a line for each.
fn differences(baseline: &Report, new: &Report) -> String {
    let mut text = String::new();
    for part in ["machine", "settings", "pinned"] {
        let (mut before, mut after) = (baseline.part(part).clone(), new.part(part).clone());
        for value in [&mut before, &mut after] {
            // The order of the runs is meant to be another.
            value.as_object_mut().map(|settings| settings.remove("seed"));
        }
        if before != after {
            let _ = writeln!(text, "warning: {part} was {before}, is {after}");
        }
    }
    text
}

/// Section, row, column.
type Name = (String, String, String);

/// The figures of a report.
struct Cells<'a>(&'a Map<String, Value>);

impl<'a> Cells<'a> {
    fn of(report: &'a Report) -> Result<Self> {
        let figures = report.part("figures").as_object();
        Ok(Self(figures.context("there are no figures in it; was it written by --out?")?))
    }

    fn names(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let rows =
            self.0.iter().flat_map(|(section, rows)| entries(rows).map(move |row| (section, row)));
        rows.flat_map(|(section, (row, columns))| {
            entries(columns).map(move |(column, _)| (section.as_str(), row, column))
        })
    }

    /// The value of each run; `None` if it was not measured, or by a version that kept no runs.
    fn runs(&self, (section, row, column): &Name) -> Option<Vec<f64>> {
        let runs = self.0.get(section)?.get(row)?.get(column)?.get("runs")?.as_array()?;
        runs.iter().map(Value::as_f64).collect()
    }

    /// Run by run, divided by the geometric mean of the yardsticks; undivided if there are none.
    fn ratios(&self, name: &Name, yardsticks: &[Name]) -> Option<Vec<f64>> {
        let mut ratios = self.runs(name)?;
        let share = 1.0 / yardsticks.len() as f64;
        for yardstick in yardsticks {
            for (ratio, measure) in ratios.iter_mut().zip(self.runs(yardstick)?) {
                *ratio /= measure.powf(share);
            }
        }
        Some(ratios)
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// What a figure of ours is divided by; `None` for what is a yardstick itself, or says nothing
/// about speed.
fn yardsticks(cells: &Cells<'_>, section: &str, row: &str, column: &str) -> Option<Vec<Name>> {
    let rows_of = |section: &str, column: &str, wanted: &dyn Fn(&str) -> bool| -> Vec<Name> {
        let found = cells
            .names()
            .filter(|(of, row, name)| *of == section && *name == column && wanted(row));
        found
            .map(|(section, row, column)| (section.to_owned(), row.to_owned(), column.to_owned()))
            .collect()
    };
    let plain = |column: &str| rows_of(engine::PLAIN, column, &|_| true);
    let bare = |column: &str| rows_of(engine::GRPC, column, &|row| row == engine::BARE);
    match section {
        // Each run of an open loop has another rate, and its tail is chance.
        engine::PLAIN | engine::RATIO | peers::COMPARED | peers::OPEN => None,
        engine::GRPC if row == engine::BARE => None,
        instructions::COUNTED => Some(vec![]),
        engine::STORE | engine::GRPC | engine::LIFE => Some(match column {
            "script calls/booking" => vec![],
            "bookings/s" if section == engine::STORE => plain("commands/s"),
            "bookings/s" => bare("requests/s"),
            "payment p50 ms" => bare("p50 ms"),
            "payment p99 ms" => bare("p99 ms"),
            cost if cost.starts_with("Redis µs") => plain("Redis µs/command"),
            column => bare(column),
        }),
        _ if !row.starts_with(peers::OURS) => None,
        _ if column == "script calls/job" => Some(vec![]),
        section => Some(rows_of(section, column, &|row| !row.starts_with(peers::OURS))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::figures::Figures;

    fn report(ours: [f64; 3], peer: [f64; 3]) -> Report {
        let mut figures = Figures::new(&["Drain"]);
        for (ours, peer) in ours.into_iter().zip(peer) {
            figures.record("Drain", "bookingq, 64", [("jobs/s", ours)]);
            figures.record("Drain", "asynq, 64", [("jobs/s", peer)]);
        }
        Report::of_figures(&figures)
    }

    #[test]
    fn a_slower_machine_is_not_a_slower_program() {
        let before = report([100.0, 102.0, 98.0], [10.0, 10.2, 9.8]);
        let after = report([50.0, 51.0, 49.0], [5.0, 5.1, 4.9]);
        let text = verdicts(&before, &after).unwrap();
        assert!(text.starts_with("within noise     +0.0 %  Drain: bookingq, 64: jobs/s"), "{text}");
        assert!(!text.contains("asynq"), "{text}");
    }

    #[test]
    fn a_slower_program_is_told_on_any_machine() {
        let before = report([100.0, 102.0, 98.0], [10.0, 10.2, 9.8]);
        let after = report([160.0, 163.0, 157.0], [20.0, 20.4, 19.6]);
        assert!(verdicts(&before, &after).unwrap().starts_with("slower          -20.0 %"));
        assert!(verdicts(&after, &before).unwrap().starts_with("faster          +25.0 %"));
        assert!(
            verdicts(&before, &after)
                .unwrap()
                .contains("1 slower, 0 faster, 0 within noise, 0 too few runs")
        );
    }

    #[test]
    fn ranges_that_overlap_are_noise_and_costs_are_better_when_less() {
        let of =
            |before: &[f64], after: &[f64], better| TaskOutcome::of(before, after, better, MARGIN);
        assert_eq!(of(&[1.0, 1.3, 1.0], &[1.2, 1.2, 1.4], Better::More), TaskOutcome::WithinNoise);
        assert_eq!(of(&[1.0, 1.1, 1.0], &[1.2, 1.2, 1.4], Better::More), TaskOutcome::Faster);
        assert_eq!(of(&[1.0, 1.1, 1.0], &[1.2, 1.2, 1.4], Better::Less), TaskOutcome::Slower);
        assert_eq!(of(&[1.0, 1.0], &[9.0, 9.0], Better::More), TaskOutcome::TooFewRuns);
    }

    #[test]
    fn what_is_counted_is_compared_as_it_is_and_more_strictly() {
        let of = |counts: [f64; 3]| {
            let mut figures = Figures::new(&[instructions::COUNTED]);
            for count in counts {
                figures.record(
                    instructions::COUNTED,
                    "64 in a call",
                    [("Redis instructions/booking", count)],
                );
            }
            Report::of_figures(&figures)
        };
        let text = verdicts(&of([1000.0, 1001.0, 1000.0]), &of([1020.0, 1021.0, 1020.0])).unwrap();
        assert!(text.starts_with("slower           +2.0 %"), "{text}");
    }

    #[test]
    fn another_machine_is_said() {
        let figures = Figures::new(&[]);
        let of = |cpu: &str| {
            let mut value =
                serde_json::json!({ "machine": { "cpu": cpu }, "settings": { "seed": cpu } });
            value["figures"] = figures.json();
            Report::of_value(value)
        };
        let text = verdicts(&of("old"), &of("new")).unwrap();
        assert!(text.contains("warning: machine was") && !text.contains("settings"), "{text}");
    }
}
