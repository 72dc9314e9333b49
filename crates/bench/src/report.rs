//! What a run leaves behind: its figures as a file, and what they say beside those of an earlier
//! one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::compare;
use crate::figures::Figures;
use crate::machine::Machine;
use crate::pin::Placement;

/// What to do with the figures.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Write the figures as JSON too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Figures of an earlier run: say what is slower, faster or the same, beside the yardsticks of
    /// each run
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Machine, settings and figures of one run.
#[derive(Debug)]
pub struct Report(Value);

impl Args {
    /// The earlier run. To be read before anything is measured, so that a wrong name costs no time.
    pub fn baseline(&self) -> Result<Option<Report>> {
        self.baseline.as_deref().map(Report::read).transpose()
    }

    /// Writes and compares, as asked.
    pub fn finish(&self, report: &Report, baseline: Option<&Report>) -> Result<()> {
        if let Some(file) = &self.out {
            let text = serde_json::to_string_pretty(&report.0)? + "\n";
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if let Some(baseline) = baseline {
            print!("{}", compare::verdicts(baseline, report)?);
        }
        Ok(())
    }
}

impl Report {
    /// Of this run.
    pub fn new(
        machine: &Machine,
        settings: &Value,
        placement: Placement,
        figures: &Figures,
    ) -> Result<Self> {
        let machine = serde_json::to_value(machine)?;
        let pinned = placement.to_string();
        Ok(Self(json!({
            "machine": machine, "settings": settings, "pinned": pinned, "figures": figures.json(),
        })))
    }

    /// Of an earlier run.
    pub fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let value = serde_json::from_str(&text)
            .with_context(|| format!("{} is no JSON", file.display()))?;
        Ok(Self(value))
    }

    /// Only figures, as in `Figures::json`.
    #[cfg(test)]
    pub fn of_figures(figures: &Figures) -> Self {
        Self(json!({ "figures": figures.json() }))
    }

    /// Whatever it is.
    #[cfg(test)]
    pub fn of_value(value: Value) -> Self {
        Self(value)
    }

    /// Its part of that name.
    pub fn part(&self, name: &str) -> &Value {
        &self.0[name]
    }
}
