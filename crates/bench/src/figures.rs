//! What was measured: one value for each run, told as median and range.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// All figures: sections in the order given at the beginning, rows in the order they were announced
/// or first recorded, columns in the order they were first recorded.
#[derive(Debug)]
pub struct Figures {
    sections: Vec<&'static str>,
    /// Section and row.
    rows: Vec<(&'static str, String)>,
    cells: Vec<Figure>,
}

/// One cell of one table.
#[derive(Debug)]
struct Figure {
    section: &'static str,
    row: String,
    column: &'static str,
    /// The value of each run.
    values: Vec<f64>,
}

impl Figures {
    /// None yet, in these sections.
    pub fn new(sections: &[&'static str]) -> Self {
        Self { sections: sections.to_vec(), rows: Vec::new(), cells: Vec::new() }
    }

    /// Gives a row its place before anything is known of it.
    pub fn announce(&mut self, section: &'static str, row: &str) {
        if !self.rows.iter().any(|known| *known == (section, row.to_owned())) {
            self.rows.push((section, row.to_owned()));
        }
    }

    /// One run's values of one row. A column's name says its unit; a row need not have all columns
    /// of its section.
    pub fn record<const N: usize>(
        &mut self,
        section: &'static str,
        row: &str,
        columns: [(&'static str, f64); N],
    ) {
        self.announce(section, row);
        for (column, value) in columns {
            let same = |known: &Figure| {
                known.section == section && known.row == row && known.column == column
            };
            if let Some(known) = self.cells.iter_mut().find(|known| same(known)) {
                known.values.push(value);
            } else {
                self.cells.push(Figure {
                    section,
                    row: row.to_owned(),
                    column,
                    values: vec![value],
                });
            }
        }
    }

    /// The values of one cell, one for each run; none if it was not measured.
    pub fn values(&self, section: &str, row: &str, column: &str) -> &[f64] {
        let same = |figure: &&Figure| {
            figure.section == section && figure.row == row && figure.column == column
        };
        self.cells.iter().find(same).map_or(&[], |figure| &figure.values)
    }

    /// The rows of a section of which something was measured, in order.
    pub fn rows(&self, section: &str) -> Vec<&str> {
        let measured = |row: &&str| {
            self.cells.iter().any(|figure| figure.section == section && figure.row == *row)
        };
        let rows = self.rows.iter().filter(|(of, _)| *of == section).map(|(_, row)| row.as_str());
        rows.filter(measured).collect()
    }

    /// As tables for a person.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for &section in &self.sections {
            let figures: Vec<_> =
                self.cells.iter().filter(|figure| figure.section == section).collect();
            if figures.is_empty() {
                continue;
            }
            let columns = unique(figures.iter().map(|figure| figure.column));
            let header = std::iter::once(section).chain(columns.iter().copied());
            let mut lines = vec![header.map(str::to_owned).collect::<Vec<_>>()];
            for row in self.rows(section) {
                let cell = |column: &&str| {
                    let figure =
                        figures.iter().find(|figure| figure.row == row && figure.column == *column);
                    figure.map_or("–".to_owned(), |figure| Spread::of(&figure.values).to_string())
                };
                lines.push(
                    std::iter::once(row.to_owned()).chain(columns.iter().map(cell)).collect(),
                );
            }
            push_aligned(&mut text, &lines);
        }
        text
    }

    /// As JSON: section, row, column, then `median`, `min`, `max` and `runs`, the value of each
    /// run.
    pub fn json(&self) -> Value {
        let mut sections = json!({});
        for Figure { section, row, column, values } in &self.cells {
            let Spread { median, min, max } = Spread::of(values);
            sections[section][row][column] =
                json!({ "median": median, "min": min, "max": max, "runs": values });
        }
        sections
    }
}

/// Each once, in order.
fn unique<T: PartialEq>(names: impl Iterator<Item = T>) -> Vec<T> {
    names.fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
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

/// Several values of one thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one, or between the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Not a number, all three, if there are no values.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            min: at(0),
            max: at(last),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Three digits that count; whole numbers from 100 on.
        let digits = match self.median.abs() {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            _ => 2,
        };
        let Self { median, min, max } = self;
        write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_with_its_range() {
        assert_eq!(Spread::of(&[30.0, 10.0, 20.0]).to_string(), "20.0 (10.0–30.0)");
        assert_eq!(Spread::of(&[1.0, 2.0]).to_string(), "1.50 (1.00–2.00)");
        assert_eq!(Spread::of(&[1234.5]).to_string(), "1234 (1234–1234)");
    }

    #[test]
    fn an_announced_row_keeps_its_place() {
        let mut figures = Figures::new(&["store"]);
        for row in ["first", "second", "never"] {
            figures.announce("store", row);
        }
        figures.record("store", "second", [("a", 1.0)]);
        figures.record("store", "first", [("a", 1.0)]);
        assert_eq!(figures.rows("store"), ["first", "second"]);
        assert_eq!(figures.values("store", "second", "a"), [1.0]);
    }

    #[test]
    fn rows_and_sections_come_in_the_order_they_were_recorded() {
        let mut figures = Figures::new(&["store", "gRPC"]);
        for run in [1.0, 3.0, 2.0] {
            figures.record("store", "batch 64", [("bookings/s", run)]);
            figures.record("store", "batch 1", [("bookings/s", 10.0 * run)]);
        }
        figures.announce("gRPC", "nothing known");
        figures.record("gRPC", "bare", [("p50 ms", 0.25)]);
        figures.record("gRPC", "worker", [("p50 ms", 0.5), ("Redis µs", 7.0)]);
        let table = figures.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[1], "batch 64  2.00 (1.00–3.00)");
        assert_eq!(lines[2], "batch 1   20.0 (10.0–30.0)");
        assert!(lines[5].starts_with("bare ") && lines[5].ends_with(" –"), "{}", lines[5]);
        assert_eq!(figures.json()["store"]["batch 1"]["bookings/s"]["max"], 30.0);
    }
}
