//! What a person sees of a run: a live view on a terminal, plain lines elsewhere. News, such as a
//! worker's death, in both.

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::screen::{Screen, dim};

/// News kept in the live view.
const NEWS: usize = 6;

/// Where everything that is to be seen goes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Console(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    style: Style,
    /// The view of each queue.
    views: BTreeMap<String, Vec<String>>,
    news: VecDeque<String>,
}

#[derive(Debug)]
enum Style {
    Live(Screen),
    Plain,
    /// Standard output is for something else.
    Aside,
}

/// How a queue is shown: the lines of the live view, and the same in one plain line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// For a terminal.
    pub lines: Vec<String>,
    /// For anything else.
    pub line: String,
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Console {
    /// Live if standard output is a terminal.
    pub fn new() -> Self {
        let live = std::io::stdout().is_terminal();
        Self::with(if live { Style::Live(Screen::default()) } else { Style::Plain })
    }

    /// Plain lines on standard error.
    pub fn aside() -> Self {
        Self::with(Style::Aside)
    }

    fn with(style: Style) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            start: Instant::now(),
            style,
            views: BTreeMap::new(),
            news: VecDeque::new(),
        })))
    }

    /// Something happened that is worth a line.
    pub fn tell(&self, news: impl Into<String>) {
        let mut inner = self.0.lock();
        let line = format!("{:>6.1}s  {}", inner.start.elapsed().as_secs_f64(), news.into());
        match inner.style {
            Style::Plain => println!("{line}"),
            Style::Aside => eprintln!("{line}"),
            Style::Live(_) => {
                if inner.news.len() == NEWS {
                    inner.news.pop_front();
                }
                inner.news.push_back(line);
                inner.draw();
            }
        }
    }

    /// How a queue is now.
    pub fn show(&self, queue: &str, view: View) {
        let mut inner = self.0.lock();
        let line = format!("{:>6.1}s  {}", inner.start.elapsed().as_secs_f64(), view.line);
        match inner.style {
            Style::Plain => println!("{line}"),
            Style::Aside => eprintln!("{line}"),
            Style::Live(_) => {
                inner.views.insert(queue.to_owned(), view.lines);
                inner.draw();
            }
        }
    }

    /// Prints lines below everything, to stay; what is told from now on is plain.
    pub fn conclude(&self, lines: &[String]) {
        let mut inner = self.0.lock();
        if matches!(inner.style, Style::Live(_)) {
            inner.style = Style::Plain;
        }
        for line in lines {
            match inner.style {
                Style::Aside => eprintln!("{line}"),
                Style::Live(_) | Style::Plain => println!("{line}"),
            }
        }
    }
}

impl Inner {
    fn draw(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        for view in self.views.values() {
            lines.extend_from_slice(view);
            lines.push(String::new());
        }
        lines.extend(self.news.iter().map(|news| dim(news)));
        if let Style::Live(screen) = &mut self.style {
            // A terminal that cannot be written to is no reason to stop serving.
            let _ = screen.draw(&lines);
        }
    }
}
