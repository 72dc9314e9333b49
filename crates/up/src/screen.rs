//! Drawing on a terminal: a block of lines that is redrawn in place, styles, and small charts.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::LazyLock;

use crossterm::cursor::{MoveToColumn, MoveUp};
use crossterm::queue;
use crossterm::style::Stylize as _;
use crossterm::terminal::{Clear, ClearType};

/// The width where the terminal does not report one.
const WIDTH: u16 = 80;

/// A block of lines on standard output that is redrawn in place.
#[derive(Debug, Default)]
pub struct Screen {
    /// Lines of the last drawing.
    height: u16,
}

impl Screen {
    /// Draws `lines` over what was drawn last. A line too long for the terminal is cut: a wrapped
    /// one would break the block.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (columns, rows) = crossterm::terminal::size().unwrap_or((WIDTH, u16::MAX));
        // A line that has scrolled away cannot be redrawn, so the block never fills the window.
        let fitting = lines.len().min(usize::from(rows.saturating_sub(1)));
        let mut out = io::stdout().lock();
        if self.height > 0 {
            queue!(out, MoveUp(self.height))?;
        }
        queue!(out, MoveToColumn(0))?;
        for line in &lines[..fitting] {
            queue!(out, Clear(ClearType::UntilNewLine))?;
            writeln!(out, "{}", cut(line, usize::from(columns)))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        self.height = fitting as u16;
        out.flush()
    }
}

/// The first `width` visible characters, with all styles (escape sequences that end in `m`).
fn cut(line: &str, width: usize) -> String {
    let (mut shown, mut visible, mut styling) = (String::with_capacity(line.len()), 0, false);
    for character in line.chars() {
        if character == '\u{1b}' {
            styling = true;
        }
        if styling {
            shown.push(character);
            styling = character != 'm';
        } else if visible < width {
            shown.push(character);
            visible += 1;
        }
    }
    shown
}

/// Whether standard output shows styles: a terminal does, unless NO_COLOR is set
/// (<https://no-color.org>).
fn styles() -> bool {
    static STYLES: LazyLock<bool> = LazyLock::new(|| {
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
    });
    *STYLES
}

/// In bold.
pub fn bold(text: &str) -> String {
    if styles() { text.bold().to_string() } else { text.to_owned() }
}

/// Dimmed.
pub fn dim(text: &str) -> String {
    if styles() { text.dark_grey().to_string() } else { text.to_owned() }
}

/// As good news.
pub fn green(text: &str) -> String {
    if styles() { text.green().to_string() } else { text.to_owned() }
}

/// As bad news.
pub fn red(text: &str) -> String {
    if styles() { text.red().to_string() } else { text.to_owned() }
}

/// Values shown.
const SPARKS: usize = 60;
/// From nothing to the highest.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last minute of a number, a value each second: `▁▂▃▅▇`.
#[derive(Debug, Clone, Default)]
pub struct Sparkline(VecDeque<u64>);

impl Sparkline {
    /// Takes the newest value.
    pub fn push(&mut self, value: u64) {
        if self.0.len() == SPARKS {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }
}

impl fmt::Display for Sparkline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.0.iter().copied().max().unwrap_or(0).max(1);
        self.0.iter().try_for_each(|&value| {
            let level =
                (value as f64 / highest as f64 * (LEVELS.len() - 1) as f64).round() as usize;
            write!(f, "{}", LEVELS[level.min(LEVELS.len() - 1)])
        })
    }
}

/// A bar of `width` characters of which `part / whole` is filled.
pub fn bar(part: u64, whole: u64, width: usize) -> String {
    let filled = if whole == 0 { 0.0 } else { part as f64 / whole as f64 * width as f64 };
    let filled = (filled.round() as usize).min(width);
    format!("{}{}", "█".repeat(filled), "░".repeat(width - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        let styled = format!("{}cd", "ab".bold());
        assert!(cut(&styled, 3).ends_with('c'));
        assert!(cut(&styled, 3).contains("ab"));
        assert_eq!(cut("ab", 5), "ab");
    }
}
