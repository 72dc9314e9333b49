//! The view of a running queue.

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_crowd::ProgressView;
use bookingq_sim::ledger::LedgerTotals;
use bookingq_store::{Snapshot, Totals};

use crate::console::ConsoleView;
use crate::screen::{Sparkline, bar, bold, dim, red};

/// Width of bars.
const BAR: usize = 30;

/// A queue at one moment.
pub struct QueueView<'a> {
    /// Its name.
    pub queue: &'a str,
    /// Since the start.
    pub elapsed: Duration,
    /// Until the end, if there is one.
    pub time: Option<Duration>,
    /// The snapshot of the store; `None` when it does not answer.
    pub snapshot: Option<&'a Snapshot>,
    /// Bookings joining and leaving the line each second, by the last two snapshots.
    pub rates: (f64, f64),
    /// Length of the line over the last minute.
    pub depth: &'a Sparkline,
    /// Workers wanted.
    pub wanted: u32,
    /// Addresses of the workers that are ready.
    pub endpoints: &'a [SocketAddr],
    /// The ledger of the Booking Service, if that is simulated.
    pub ledger: Option<LedgerTotals>,
    /// The crowd, if there is one.
    pub crowd: Option<ProgressView>,
}

impl QueueView<'_> {
    /// For a terminal and for a log.
    pub fn view(&self) -> ConsoleView {
        ConsoleView { lines: self.lines(), line: self.line() }
    }

    fn line(&self) -> String {
        let workers = format!("workers={}/{}", self.endpoints.len(), self.wanted);
        let Some(snapshot) = self.snapshot else {
            return format!("{} the store does not answer {workers}", self.queue);
        };
        format!(
            "{} waiting={} in_flight={} holds={} {workers} joining={:.0}/s served={:.0}/s \
             oldest={:.1}s{}",
            self.queue,
            snapshot.backlog,
            snapshot.in_flight,
            snapshot.holds,
            self.rates.0,
            self.rates.1,
            oldest(snapshot).as_secs_f64(),
            finals(&snapshot.totals).map(|(state, count)| format!(" {state}={count}")).concat(),
        )
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.title()];
        match self.snapshot {
            None => lines.push(red("  the store does not answer")),
            Some(snapshot) => lines.extend(self.numbers(snapshot)),
        }
        if let Some(ledger) = self.ledger {
            let filled = bar(ledger.confirmed + ledger.held, ledger.stock, BAR);
            lines.push(format!(
                "  tickets    {filled}  sold {} + held {} of {}",
                ledger.confirmed, ledger.held, ledger.stock
            ));
        }
        if let Some(crowd) = self.crowd {
            let ProgressView { arrived, acknowledged, paid, paid_late, left, finished, .. } = crowd;
            lines.push(format!(
                "  crowd      {arrived} came, {acknowledged} in line or past it, {paid} paid, \
                 {paid_late} too late, {left} left, {finished} done"
            ));
        }
        lines
    }

    fn title(&self) -> String {
        let end =
            self.time.map(|time| format!(" of {:.0}", time.as_secs_f64())).unwrap_or_default();
        let admission =
            self.snapshot.map(|snapshot| snapshot.admission.as_str()).unwrap_or_default();
        let endpoints = match self.endpoints {
            [] => "no worker is ready".to_owned(),
            [only] => format!("http://{only}"),
            [first, .., last] => format!("http://{first} … {last}"),
        };
        let time = format!("{:.0}{end} s", self.elapsed.as_secs_f64());
        format!("{}  {admission}  {}  {}", bold(self.queue), dim(&time), dim(&endpoints))
    }

    fn numbers(&self, snapshot: &Snapshot) -> Vec<String> {
        let workers = "▪".repeat(self.endpoints.len().min(BAR));
        vec![
            format!("  waiting    {:>8}  {}", snapshot.backlog, self.depth),
            format!(
                "  in flight  {:>8}  oldest wait {:.1} s",
                snapshot.in_flight,
                oldest(snapshot).as_secs_f64()
            ),
            format!(
                "  holds      {:>8}  joining {:.0}/s, served {:.0}/s",
                snapshot.holds, self.rates.0, self.rates.1
            ),
            format!("  workers    {:>4}/{:<3}  {workers}", self.endpoints.len(), self.wanted),
            format!("  final     {}", finals(&snapshot.totals).map(spaced).concat()),
        ]
    }
}

/// The wait of the first booking in line.
fn oldest(snapshot: &Snapshot) -> Duration {
    snapshot.front.map_or(Duration::ZERO, |(_, since)| snapshot.now.since(since))
}

/// Bookings that ended, by their final state.
fn finals(totals: &Totals) -> [(&'static str, u64); 6] {
    [
        ("confirmed", totals.confirmed),
        ("expired", totals.expired),
        ("cancelled", totals.cancelled),
        ("sold_out", totals.sold_out),
        ("rejected", totals.rejected),
        ("failed", totals.failed),
    ]
}

fn spaced((state, count): (&str, u64)) -> String {
    format!(" {} {count} ", state.replace('_', " "))
}
