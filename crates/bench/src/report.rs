//! The JSON report of a run: machine, settings and figures.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A report, as `--out` writes it.
#[derive(Debug)]
pub struct BenchReport(pub Value);

impl BenchReport {
    /// Reads the report of an earlier run.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        Ok(Self(serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?))
    }

    /// Writes it.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.0)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}
