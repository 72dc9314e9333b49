//! One run of a verb, from the look at the machine to the table, the report and the comparison.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::compare::{BenchReport, comparison};
use crate::figures::Figures;
use crate::machine::{Machine, Placement};

/// Where the figures go besides standard output.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub struct FigureOutput {
    /// Write the figures as JSON too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Figures of an earlier run: report what is slower, faster or the same, relative to the
    /// yardsticks of each run
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}
pub struct Session {
    out: Option<PathBuf>,
    baseline: Option<BenchReport>,
    machine: Machine,
    pub placement: Placement,
    pub figures: Figures,
}

impl Session {
    /// Reads the baseline first, so that a wrong file name costs no time. Prints the machine.
    pub fn start(output: &FigureOutput, sections: &[&'static str]) -> Result<Self> {
        let baseline = output.baseline.as_deref().map(BenchReport::read).transpose()?;
        let machine = Machine::detect();
        println!("{machine}");
        let (placement, figures) = (Placement::of(&machine), Figures::new(sections));
        Ok(Self { out: output.out.clone(), baseline, machine, placement, figures })
    }

    /// Prints the table, writes the report and compares it with the baseline.
    pub fn finish(self, settings: &Value) -> Result<()> {
        print!("{}", self.figures.table());
        let report = BenchReport(json!({
            "machine": serde_json::to_value(&self.machine)?, "settings": settings,
            "pinned": self.placement.to_string(), "figures": self.figures.json(),
        }));
        if let Some(file) = &self.out {
            let text = serde_json::to_string_pretty(&report.0)? + "\n";
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if let Some(baseline) = &self.baseline {
            print!("{}", comparison(baseline, &report)?);
        }
        Ok(())
    }
}
