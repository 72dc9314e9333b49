//! What has left the line in the last minutes, second by second, and the pace that follows.

use std::collections::VecDeque;

use super::reading::{Departure, EtaReading, EtaUnknown};
use crate::time::Timestamp;

/// Readings kept: ten minutes, at one a second.
const KEPT: usize = 600;
/// A pace is measured over at least this time, in seconds, if there is as much …
const SHORTEST: f64 = 10.0;
/// … and this many departures.
const DEPARTURES: f64 = 100.0;
/// Below this time, in seconds, no pace is known.
const LEAST: f64 = 3.0;
/// A longer time between two readings, in seconds, says nothing: the store did not answer.
const LONGEST: f64 = 5.0;
/// Readings over which the present number of tasks is averaged.
const PRESENT: usize = 3;

/// The time between two readings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FlowInterval {
    seconds: f64,
    served: f64,
    parked: f64,
    cancelled: f64,
    in_flight: f64,
    line: f64,
    /// Bookings waited all the time, so the front moved as fast as it could.
    waiting: bool,
}

/// The newest intervals in which the queue served.
#[derive(Debug, Default)]
pub(super) struct FlowHistory {
    intervals: VecDeque<FlowInterval>,
    /// What has left since the last reading.
    current: FlowInterval,
    /// The last reading: when, the line, the tasks in progress. `None`: the next one starts an
    /// interval and ends none.
    last: Option<(Timestamp, u64, u64)>,
    /// Seconds since the last departure from the front, while bookings wait.
    still: f64,
}

/// How the front of the line moved lately, while bookings waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlowPace {
    /// Over this time.
    pub seconds: f64,
    /// Bookings that workers took from the front.
    pub served: f64,
    /// Tasks in progress, on average.
    pub tasks: f64,
    /// The share of those met at the front that was parked.
    pub parked: f64,
}

impl FlowHistory {
    /// Counts a departure.
    pub fn left(&mut self, departure: Departure) {
        match departure {
            Departure::Served => self.current.served += 1.0,
            Departure::Parked => self.current.parked += 1.0,
            Departure::Cancelled => self.current.cancelled += 1.0,
        }
    }

    /// Departures may have been missed: the interval at hand does not count.
    pub fn skip(&mut self) {
        self.last = None;
    }

    /// Ends an interval. One in which the queue was halted says nothing about its pace.
    pub fn read(&mut self, reading: &EtaReading, line: u64, halted: Option<EtaUnknown>) {
        let ended = std::mem::take(&mut self.current);
        if halted.is_some() {
            self.last = None;
            self.still = 0.0;
            if halted == Some(EtaUnknown::Outage) {
                self.forget_stop();
            }
            return;
        }
        let begun = self.last.replace((reading.at, line, reading.in_flight));
        let Some((begun, line_before, tasks_before)) = begun else { return };
        let seconds = reading.at.since(begun).as_secs_f64();
        if seconds <= 0.0 || seconds > LONGEST {
            return;
        }
        let interval = FlowInterval {
            seconds,
            in_flight: f64::midpoint(tasks_before as f64, reading.in_flight as f64),
            line: f64::midpoint(line_before as f64, line as f64),
            waiting: line > 0 && line_before > 0,
            ..ended
        };
        self.still = match interval {
            FlowInterval { waiting: true, served: 0.0, parked: 0.0, .. } => self.still + seconds,
            _ => 0.0,
        };
        self.intervals.push_back(interval);
        if self.intervals.len() > KEPT {
            self.intervals.pop_front();
        }
    }

    /// An outage began before it was noticed: its first seconds are not the pace of the line.
    fn forget_stop(&mut self) {
        while self.intervals.back().is_some_and(|last| last.waiting && last.served == 0.0) {
            self.intervals.pop_back();
        }
    }

    /// The pace of the newest departures; `None` if too little was seen, or the front has stopped.
    pub fn pace(&self) -> Option<FlowPace> {
        let mut sum = FlowInterval::default();
        let mut slots = 0.0;
        for interval in self.intervals.iter().rev().filter(|interval| interval.waiting) {
            if sum.seconds >= SHORTEST && sum.served >= DEPARTURES {
                break;
            }
            sum.seconds += interval.seconds;
            sum.served += interval.served;
            sum.parked += interval.parked;
            slots += interval.in_flight * interval.seconds;
        }
        // Eight times the time between two departures.
        let stopped = self.still > (8.0 * sum.seconds / sum.served).max(10.0);
        (sum.seconds >= LEAST && sum.served >= 2.0 && !stopped).then(|| FlowPace {
            seconds: sum.seconds,
            served: sum.served,
            tasks: slots / sum.seconds,
            parked: sum.parked / (sum.parked + sum.served),
        })
    }

    /// Throughput of a slot while the line is short: bookings each second.
    pub fn per_slot(&self) -> Option<f64> {
        let (mut served, mut slots) = (0.0, 0.0);
        for interval in self.intervals.iter().rev().take(60) {
            served += interval.served;
            slots += interval.in_flight * interval.seconds;
        }
        (served >= 2.0 && slots > 0.0).then(|| served / slots)
    }

    /// Tasks in progress now.
    pub fn in_flight(&self) -> f64 {
        let newest = self.intervals.iter().rev().take(PRESENT);
        newest.clone().map(|interval| interval.in_flight).sum::<f64>() / newest.len().max(1) as f64
    }

    /// The share of the waiting bookings that cancels, each second.
    pub fn cancelling(&self) -> f64 {
        let mut sum = FlowInterval::default();
        for interval in &self.intervals {
            sum.cancelled += interval.cancelled;
            sum.line += interval.line * interval.seconds;
        }
        if sum.line > 0.0 { sum.cancelled / sum.line } else { 0.0 }
    }

    /// The newest intervals in which bookings waited, oldest first: seconds, and departures from
    /// the front.
    pub fn pulse(&self) -> Vec<(f64, f64)> {
        let waiting = self.intervals.iter().filter(|interval| interval.waiting);
        waiting.map(|interval| (interval.seconds, interval.served + interval.parked)).collect()
    }
}
