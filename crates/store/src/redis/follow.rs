//! Following the outbox: reading on from a place, waiting for more, and saying so when something is
//! missing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use bookingq_core::EventSeq;
use parking_lot::Mutex;

use super::known::{Known, Mark};
use super::link::Link;
use super::outbox::{self, Entry};
use crate::Events;
use crate::Result;

/// Places remembered; a process has one or two followers.
const REMEMBERED: usize = 32;

/// What makes reading on cheap: connections to wait on, and the numbers of the entries that were
/// read last.
pub(super) struct Follower {
    known: Known,
    /// Connections on which nobody waits just now.
    spare: Mutex<Vec<MultiplexedConnection>>,
    /// Where the last reads ended, and the number of the entry there. Who goes on from such a
    /// place needs no look-up to know which number must follow.
    ends: Mutex<VecDeque<(EventSeq, Mark)>>,
}

impl Follower {
    /// What it sees of the data is told to `known`.
    pub(super) fn new(known: Known) -> Self {
        Self { known, spare: Mutex::default(), ends: Mutex::default() }
    }

    /// Events after `after`.
    pub(super) async fn events(
        &self,
        link: &Arc<Link>,
        after: EventSeq,
        max: usize,
        wait: Duration,
    ) -> Result<Events> {
        let behind = if let Some(mark) = self.mark_at(after) {
            mark
        } else {
            let mark = self.known.mark();
            match entry_at(link, after).await? {
                None => return self.after_a_gap(link, after, max).await,
                Some(entry) if entry.end() > after => return Ok(self.rest_of(entry, after, mark)),
                Some(entry) => mark.at(entry.number),
            }
        };
        let entries = self.read(link, after, max, wait, behind).await?;
        if let Some(first) = entries.first() {
            self.known.shows(first.number.saturating_sub(1), behind);
        }
        Ok(outbox::deliver(entries, after, Some(behind.number() + 1), max))
    }

    /// Where the newest event stands.
    pub(super) async fn latest(&self, link: &Arc<Link>) -> Result<EventSeq> {
        let mut call = ::redis::cmd("XREVRANGE");
        call.arg(&link.keys.events).arg("+").arg("-").arg("COUNT").arg(1);
        let mark = self.known.mark();
        let newest = outbox::entries_of(link.command(&call).await?)?.into_iter().next();
        Ok(newest.map_or(EventSeq::START, |entry| self.remember(&entry, mark)))
    }

    /// `mark` is of before the call.
    async fn read(
        &self,
        link: &Arc<Link>,
        after: EventSeq,
        max: usize,
        wait: Duration,
        mark: Mark,
    ) -> Result<Vec<Entry>> {
        let call = outbox::read_call(&link.keys.events, after, max, wait);
        let answer = if wait.is_zero() {
            link.command(&call).await?
        } else {
            link.blocking(&call, wait, &self.spare).await?
        };
        let entries = outbox::read_answer(answer)?;
        if let Some(last) = entries.last() {
            self.known.shows(last.number, mark);
            self.remember(last, mark);
        }
        Ok(entries)
    }

    /// For somebody who stopped in the middle of an entry.
    fn rest_of(&self, entry: Entry, after: EventSeq, mark: Mark) -> Events {
        let next = self.remember(&entry, mark);
        let events = entry.events.into_iter().filter(|event| event.seq > after).collect();
        Events { events, next, gap: false }
    }

    /// For somebody whose last entry is not there any more: all that is left, or where to start
    /// anew.
    async fn after_a_gap(&self, link: &Arc<Link>, after: EventSeq, max: usize) -> Result<Events> {
        let entries = self.read(link, after, max, Duration::ZERO, self.known.mark().at(0)).await?;
        if entries.is_empty() {
            return Ok(Events { events: Vec::new(), next: self.latest(link).await?, gap: true });
        }
        Ok(outbox::deliver(entries, after, None, max))
    }

    fn mark_at(&self, seq: EventSeq) -> Option<Mark> {
        if seq == EventSeq::START {
            // Numbers start at 1.
            return Some(self.known.mark().at(0));
        }
        self.ends.lock().iter().rev().find(|(end, _)| *end == seq).map(|(_, mark)| *mark)
    }

    fn remember(&self, entry: &Entry, mark: Mark) -> EventSeq {
        let mut ends = self.ends.lock();
        if ends.len() == REMEMBERED {
            ends.pop_front();
        }
        ends.push_back((entry.end(), mark.at(entry.number)));
        entry.end()
    }
}

/// The entry to which a place belongs, if it is still there.
async fn entry_at(link: &Arc<Link>, seq: EventSeq) -> Result<Option<Entry>> {
    let id = outbox::entry_id(seq);
    let mut call = ::redis::cmd("XRANGE");
    call.arg(&link.keys.events).arg(&id).arg(&id);
    Ok(outbox::entries_of(link.command(&call).await?)?.into_iter().next())
}
