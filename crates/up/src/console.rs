//! The output of a run for a person: a live view on a terminal, plain lines elsewhere. Both show
//! messages, such as the end of a worker.

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Instant;

use bookingq_harness::ProcessEvent;
use parking_lot::Mutex;

use crate::screen::{Screen, dim};

/// Messages in the live view.
const MESSAGES: usize = 6;

/// The console of a run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Console(Arc<Mutex<ConsoleState>>);

#[derive(Debug)]
struct ConsoleState {
    start: Instant,
    style: ConsoleStyle,
    /// The view of each queue.
    views: BTreeMap<String, Vec<String>>,
    messages: VecDeque<String>,
}

#[derive(Debug)]
enum ConsoleStyle {
    Live(Screen),
    Plain,
    /// Plain lines on standard error, because standard output carries a report.
    StandardError,
}

/// A queue at one moment: the lines of the live view, and the same in one plain line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleView {
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
        Self::with(if live { ConsoleStyle::Live(Screen::default()) } else { ConsoleStyle::Plain })
    }

    /// Plain lines on standard error.
    pub fn on_standard_error() -> Self {
        Self::with(ConsoleStyle::StandardError)
    }

    fn with(style: ConsoleStyle) -> Self {
        Self(Arc::new(Mutex::new(ConsoleState {
            start: Instant::now(),
            style,
            views: BTreeMap::new(),
            messages: VecDeque::new(),
        })))
    }

    /// Shows a message.
    pub fn report(&self, message: impl Into<String>) {
        self.print(&message.into(), |live, line| {
            if live.messages.len() == MESSAGES {
                live.messages.pop_front();
            }
            live.messages.push_back(line);
        });
    }

    /// Prints `text` with its time, or lets `update` change the live view with it.
    fn print(&self, text: &str, update: impl FnOnce(&mut ConsoleState, String)) {
        let mut state = self.0.lock();
        let line = format!("{:>6.1}s  {text}", state.start.elapsed().as_secs_f64());
        match state.style {
            ConsoleStyle::Plain => println!("{line}"),
            ConsoleStyle::StandardError => eprintln!("{line}"),
            ConsoleStyle::Live(_) => {
                update(&mut state, line);
                state.draw();
            }
        }
    }

    /// Shows what happens to the process with this name.
    pub fn reporter(&self, name: &str) -> impl Fn(ProcessEvent) + Clone + Send + 'static {
        let (console, name) = (self.clone(), name.to_owned());
        move |event| match event {
            ProcessEvent::Started { pid } => console.report(format!("{name} started, pid {pid}")),
            ProcessEvent::Ready => {}
            ProcessEvent::Ended { how, restart_in } => {
                let wait = restart_in.unwrap_or_default().as_secs_f64();
                console.report(format!("{name} ended: {how}; restarting in {wait:.1}s"));
            }
            ProcessEvent::Stopped => console.report(format!("{name} stopped")),
        }
    }

    /// Shows the state of a queue.
    pub fn show(&self, queue: &str, view: ConsoleView) {
        let ConsoleView { lines, line } = view;
        self.print(&line, |live, _| drop(live.views.insert(queue.to_owned(), lines)));
    }

    /// Prints the last lines below the live view; later output is plain.
    pub fn conclude(&self, lines: &[String]) {
        let mut inner = self.0.lock();
        if matches!(inner.style, ConsoleStyle::Live(_)) {
            inner.style = ConsoleStyle::Plain;
        }
        for line in lines {
            match inner.style {
                ConsoleStyle::StandardError => eprintln!("{line}"),
                ConsoleStyle::Live(_) | ConsoleStyle::Plain => println!("{line}"),
            }
        }
    }
}

impl ConsoleState {
    fn draw(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        for view in self.views.values() {
            lines.extend_from_slice(view);
            lines.push(String::new());
        }
        lines.extend(self.messages.iter().map(|message| dim(message)));
        if let ConsoleStyle::Live(screen) = &mut self.style {
            // An error of the terminal must not stop the workers.
            let _ = screen.draw(&lines);
        }
    }
}
