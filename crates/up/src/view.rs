//! The view of a running queue.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{ItemState, Outflow, SaleRules};
use bookingq_crowd::ProgressView;
use bookingq_sim::ledger::ItemStock;
use bookingq_store::{Snapshot, Totals};

use crate::console::ConsoleView;
use crate::screen::{Sparkline, bar, bold, dim, red};

/// Width of bars.
const BAR: usize = 30;
/// Items shown.
const ITEMS: usize = 6;

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
    /// Clients that wait, over the last minute.
    pub depth: &'a Sparkline,
    /// Workers wanted.
    pub wanted: u32,
    /// Addresses of the workers that are ready.
    pub endpoints: &'a [SocketAddr],
    /// Items that are sold out, at the moment or for good.
    pub closed: &'a [ItemState],
    /// The tickets of each item, if the Booking Service is simulated.
    pub stocks: BTreeMap<Arc<str>, ItemStock>,
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
            "{} waiting={} parked={} in_flight={} holds={} {workers} joining={:.0}/s \
             served={:.0}/s oldest={:.1}s{}",
            self.queue,
            snapshot.backlog,
            snapshot.parked,
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
        lines.extend(self.items());
        if let Some(crowd) = self.crowd {
            let ProgressView { arrived, acknowledged, paid, paid_late, left, finished, .. } = crowd;
            lines.push(format!(
                "  crowd      {arrived} came, {acknowledged} in line or past it, {paid} paid, \
                 {paid_late} too late, {left} left, {finished} done"
            ));
        }
        lines
    }

    /// The tickets of each item, or, if they are unknown, the items that are sold out.
    fn items(&self) -> Vec<String> {
        let closed = |name: &str| self.closed.iter().find(|state| &*state.item == name);
        let stocks = self.stocks.iter();
        let mut lines: Vec<String> =
            stocks.map(|(name, stock)| item(name, Some(stock), closed(name))).collect();
        if lines.is_empty() {
            lines.extend(self.closed.iter().map(|state| item(&state.item, None, Some(state))));
        }
        let more = lines.len().saturating_sub(ITEMS);
        lines.truncate(ITEMS);
        if more > 0 {
            lines.push(format!("  and {more} other items"));
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
        let rules = rules(&snapshot.rules, snapshot);
        let mut lines = vec![
            format!("  waiting    {:>8}  {}", snapshot.backlog + snapshot.parked, self.depth),
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
        ];
        if snapshot.parked > 0 {
            let parked = format!("  of them    {:>8}  wait for sold out items", snapshot.parked);
            lines.insert(1, parked);
        }
        lines.extend(rules);
        lines
    }
}

/// An item: its tickets, and what a sold out one means.
fn item(name: &str, stock: Option<&ItemStock>, closed: Option<&ItemState>) -> String {
    let name = if name.is_empty() { "tickets" } else { name };
    let tickets = stock.map_or_else(String::new, |stock| {
        let filled = bar(stock.confirmed + stock.held, stock.stock, BAR);
        format!("{filled}  sold {} + held {} of {}", stock.confirmed, stock.held, stock.stock)
    });
    let state =
        closed.map_or_else(String::new, |ItemState { ended, unsettled, waiting, .. }| {
            if *ended {
                "  sold out".to_owned()
            } else {
                format!("  sold out at the moment: {unsettled} may come back, {waiting} wait")
            }
        });
    format!("  {name:<10} {tickets}{state}")
}

/// The opening and the outflow, if the sale has any.
fn rules(rules: &SaleRules, snapshot: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(opens_at) = rules.opens_at.filter(|opens_at| *opens_at > snapshot.now) {
        let seconds = opens_at.since(snapshot.now).as_secs_f64();
        lines.push(format!("  opens in   {seconds:>8.0} s"));
    }
    let Outflow { per_minute, max_holds, .. } = rules.outflow;
    let limits = [(per_minute, "a minute"), (max_holds, "holds")];
    let limits = limits.map(|(limit, of)| limit.map(|most| format!("{most} {of}")));
    if limits.iter().any(Option::is_some) {
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        lines.push(format!("  at most    {}", limits.join(", ")));
    }
    lines
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
