//! Reads the outbox: from a cursor on, waiting for new events, and reporting missing ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use bookingq_core::EventSeq;
use parking_lot::Mutex;

use super::link::Link;
use super::outbox::{self, OutboxEntry};
use super::rollback::{RollbackDetector, Watermark};
use crate::{Events, Result};

/// Cursors remembered; a process has one or two followers.
const REMEMBERED: usize = 32;

/// Reads the outbox of one queue.
pub(super) struct StreamReader {
    link: Arc<Link>,
    detector: Arc<RollbackDetector>,
    /// The ends of the last reads, with the numbers of the entries there. A follower that continues
    /// from one of them needs no look-up to know which number must come next.
    ends: Mutex<VecDeque<(EventSeq, Watermark)>>,
}

impl StreamReader {
    pub(super) fn new(link: Arc<Link>, detector: Arc<RollbackDetector>) -> Self {
        Self { link, detector, ends: Mutex::default() }
    }

    /// Reads events after `after`.
    pub(super) async fn events(
        &self,
        after: EventSeq,
        max: usize,
        wait: Duration,
    ) -> Result<Events> {
        let behind = if let Some(watermark) = self.remembered(after) {
            watermark
        } else {
            let watermark = self.detector.watermark();
            let id = outbox::entry_id(after);
            let mut call = ::redis::cmd("XRANGE");
            call.arg(&self.link.keys.events).arg(&id).arg(&id);
            let found: Vec<Value> = self.link.run(&call).await?;
            match outbox::entries(&found).pop() {
                None => return self.after_a_gap(after, max).await,
                // The follower stopped in the middle of this entry.
                Some(entry) if entry.end() > after => {
                    let next = self.remember(&entry, watermark);
                    let rest = entry.events.into_iter().filter(|event| event.seq() > after);
                    return Ok(Events { events: rest.collect(), next, gap: false });
                }
                Some(entry) => watermark.at(entry.number),
            }
        };
        let entries = self.read(after, max, wait, behind).await?;
        if let Some(first) = entries.first() {
            self.detector.observe(first.number.saturating_sub(1), behind);
        }
        Ok(outbox::deliver(entries, after, Some(behind.number + 1), max))
    }

    /// Reads the sequence number of the newest event.
    pub(super) async fn latest(&self) -> Result<EventSeq> {
        let mut call = ::redis::cmd("XREVRANGE");
        call.arg(&self.link.keys.events).arg("+").arg("-").arg("COUNT").arg(1);
        let watermark = self.detector.watermark();
        let found: Vec<Value> = self.link.run(&call).await?;
        let newest = outbox::entries(&found).pop();
        Ok(newest.map_or(EventSeq::START, |entry| self.remember(&entry, watermark)))
    }

    async fn read(
        &self,
        after: EventSeq,
        max: usize,
        wait: Duration,
        watermark: Watermark,
    ) -> Result<Vec<OutboxEntry>> {
        let call = outbox::read_call(&self.link.keys.events, after, max, wait);
        let streams: Option<Vec<(String, Vec<Value>)>> = if wait.is_zero() {
            self.link.run(&call).await?
        } else {
            self.link.run_blocking(&call, wait).await?
        };
        let found = streams.unwrap_or_default().pop().map(|(_, entries)| entries);
        let entries = outbox::entries(&found.unwrap_or_default());
        if let Some(last) = entries.last() {
            self.detector.observe(last.number, watermark);
            self.detector.know(last.mark(), watermark);
            self.remember(last, watermark);
        }
        Ok(entries)
    }

    /// Answers a follower whose last entry is missing: with all that is left, or with the cursor
    /// to continue from.
    async fn after_a_gap(&self, after: EventSeq, max: usize) -> Result<Events> {
        let from_start = self.detector.watermark().at(0);
        let entries = self.read(after, max, Duration::ZERO, from_start).await?;
        if entries.is_empty() {
            return Ok(Events { events: Vec::new(), next: self.latest().await?, gap: true });
        }
        Ok(outbox::deliver(entries, after, None, max))
    }

    /// The number of the entry that ends at `seq`.
    fn remembered(&self, seq: EventSeq) -> Option<Watermark> {
        if seq == EventSeq::START {
            // Numbers start at 1.
            return Some(self.detector.watermark().at(0));
        }
        self.ends.lock().iter().rev().find(|(end, _)| *end == seq).map(|(_, mark)| *mark)
    }

    fn remember(&self, entry: &OutboxEntry, watermark: Watermark) -> EventSeq {
        let mut ends = self.ends.lock();
        if ends.len() == REMEMBERED {
            ends.pop_front();
        }
        ends.push_back((entry.end(), watermark.at(entry.number)));
        entry.end()
    }
}
