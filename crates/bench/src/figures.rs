//! Figures: one value for each run, shown as median and range.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Sections in the order of their declaration, rows in the order in which they were announced or
/// recorded.
#[derive(Debug)]
pub struct Figures {
    sections: Vec<&'static str>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    section: &'static str,
    name: String,
    /// Column and the value of each run.
    cells: Vec<(&'static str, Vec<f64>)>,
}

impl Row {
    fn cell(&self, column: &str) -> Option<&[f64]> {
        self.cells.iter().find(|(name, _)| *name == column).map(|(_, values)| values.as_slice())
    }
}

impl Figures {
    /// No figures yet, in these sections.
    pub fn new(sections: &[&'static str]) -> Self {
        Self { sections: sections.to_vec(), rows: Vec::new() }
    }

    /// Fixes the place of a row before anything is recorded in it.
    pub fn announce(&mut self, section: &'static str, name: &str) {
        if self.row(section, name).is_none() {
            self.rows.push(Row { section, name: name.to_owned(), cells: Vec::new() });
        }
    }

    /// Records one run. Columns carry their unit in their names; a row need not have all columns
    /// of its section.
    pub fn record<const N: usize>(
        &mut self,
        section: &'static str,
        name: &str,
        columns: [(&'static str, f64); N],
    ) {
        self.announce(section, name);
        let row = self.rows.iter_mut().find(|row| row.section == section && row.name == name);
        let Some(row) = row else { return };
        for (column, value) in columns {
            match row.cells.iter_mut().find(|(known, _)| *known == column) {
                Some((_, values)) => values.push(value),
                None => row.cells.push((column, vec![value])),
            }
        }
    }

    /// The value of each run in one cell; empty if it was not measured.
    pub fn values(&self, section: &str, name: &str, column: &str) -> &[f64] {
        self.row(section, name).and_then(|row| row.cell(column)).unwrap_or_default()
    }

    /// The rows of a section that hold figures.
    pub fn rows(&self, section: &str) -> Vec<&str> {
        self.measured(section).map(|row| row.name.as_str()).collect()
    }

    fn row(&self, section: &str, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.section == section && row.name == name)
    }

    fn measured(&self, section: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.section == section && !row.cells.is_empty())
    }

    /// Tables of all sections that hold figures.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let mut columns = Vec::new();
            for (column, _) in self.measured(section).flat_map(|row| &row.cells) {
                if !columns.contains(column) {
                    columns.push(*column);
                }
            }
            if columns.is_empty() {
                continue;
            }
            let header = std::iter::once(section).chain(&columns).map(|name| (*name).to_owned());
            let mut lines = vec![header.collect::<Vec<_>>()];
            lines.extend(self.measured(section).map(|row| {
                let cell = |column: &&str| {
                    row.cell(column)
                        .map_or("–".to_owned(), |values| Spread::of(values).to_string())
                };
                std::iter::once(row.name.clone()).chain(columns.iter().map(cell)).collect()
            }));
            push_aligned(&mut text, &lines);
        }
        text
    }

    /// Section, row, column, then `median`, `min`, `max` and `runs`, the value of each run.
    pub fn json(&self) -> Value {
        let mut sections = json!({});
        for Row { section, name, cells } in &self.rows {
            for (column, values) in cells {
                let Spread { median, min, max } = Spread::of(values);
                sections[section][name][column] =
                    json!({ "median": median, "min": min, "max": max, "runs": values });
            }
        }
        sections
    }
}

/// The first column to the left, the others to the right, an empty line at the end.
fn push_aligned(text: &mut String, lines: &[Vec<String>]) {
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..lines.first().map_or(0, Vec::len)).map(width).collect();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = if column == 0 {
                write!(text, "{cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
    }
    text.push('\n');
}

/// Median and range of several values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the two in the middle.
    pub median: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
}

impl Spread {
    /// All three are NaN if there are no values.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Self { median, min: at(0), max: at(last) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Three significant digits; whole numbers from 100 on.
        let digits = match self.median.abs() {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            _ => 2,
        };
        let Self { median, min, max } = self;
        write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}
