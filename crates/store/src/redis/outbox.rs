//! The outbox: stream entries as events, and noticing when some are gone.
//!
//! Each entry has a number without holes. A follower that knows the number of the entry it saw last
//! knows at once whether the next one follows it: entries may have been trimmed, lost in a
//! failover, or lost with all other data.

use std::time::Duration;

use ::redis::{Cmd, Value};
use bookingq_core::{BookingState, ClientId, Event, EventSeq, Outcome, Timestamp};
use tracing::warn;

use super::decode::{array, required, text, unexpected};
use super::record::Lead;
use crate::Events;
use crate::Result;

/// One stream entry: all events of one store call.
pub(super) struct Entry {
    /// Both parts of its stream id.
    id: (u64, u64),
    /// Counts entries without holes.
    pub(super) number: u64,
    pub(super) events: Vec<Event>,
}

impl Entry {
    /// Where its last event stands.
    pub(super) fn end(&self) -> EventSeq {
        self.events.last().map_or(EventSeq::new(self.id.0, self.id.1, 0), |event| event.seq)
    }
}

/// The stream id of the entry a place belongs to.
pub(super) fn entry_id(seq: EventSeq) -> String {
    format!("{}-{}", seq.ms, seq.entry())
}

/// Reads the entries after `after`; blocks for `wait` unless that is zero.
pub(super) fn read_call(key: &str, after: EventSeq, max: usize, wait: Duration) -> Cmd {
    /// Entries in one answer: with 256 events each, still only a few megabytes.
    const MOST: usize = 128;
    let mut call = ::redis::cmd("XREAD");
    call.arg("COUNT").arg(max.clamp(1, MOST));
    if !wait.is_zero() {
        // Zero would mean for ever.
        call.arg("BLOCK").arg(bookingq_core::time::millis(wait));
    }
    call.arg("STREAMS").arg(key).arg(entry_id(after));
    call
}

/// The entries of an answer to XREAD of one stream.
pub(super) fn read_answer(value: Value) -> Result<Vec<Entry>> {
    if value == Value::Nil {
        return Ok(Vec::new());
    }
    let stream = array(value)?.into_iter().next().unwrap_or(Value::Nil);
    let entries = array(stream)?.into_iter().nth(1).unwrap_or(Value::Nil);
    entries_of(entries)
}

/// The entries of an answer to XRANGE. Those that we did not write are passed over.
pub(super) fn entries_of(value: Value) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for value in array(value)? {
        match entry(&value) {
            Ok(entry) => entries.push(entry),
            Err(error) => warn!(%error, "an outbox entry that can't be read was passed over"),
        }
    }
    Ok(entries)
}

/// What a follower gets of `entries`, when the number of the first one should be `expected`.
pub(super) fn deliver(
    entries: Vec<Entry>,
    after: EventSeq,
    expected: Option<u64>,
    max: usize,
) -> Events {
    let mut found = Events { events: Vec::new(), next: after, gap: expected.is_none() };
    let mut expected = expected;
    for entry in entries {
        if !found.events.is_empty() && found.events.len() + entry.events.len() > max {
            break;
        }
        found.gap |= expected.is_some_and(|expected| expected != entry.number);
        expected = Some(entry.number + 1);
        found.next = entry.end();
        found.events.extend(entry.events);
    }
    found
}

fn entry(value: &Value) -> Result<Entry> {
    let Value::Array(parts) = value else { return Err(unexpected("not an entry", value)) };
    let (id, Some(Value::Array(fields))) = (parts.first().unwrap_or(&Value::Nil), parts.get(1))
    else {
        return Err(unexpected("not an entry", value));
    };
    let (ms, entry) = text(id)?
        .and_then(|id| id.split_once('-'))
        .and_then(|(ms, entry)| Some((ms.parse().ok()?, entry.parse().ok()?)))
        .ok_or_else(|| unexpected("not an entry id", id))?;
    let [n, number, at_, at, events_, packed] = fields.as_slice() else {
        return Err(unexpected("not an outbox entry", value));
    };
    for (name, wanted) in [(n, "n"), (at_, "at"), (events_, "events")] {
        if text(name)? != Some(wanted) {
            return Err(unexpected("not an outbox entry", value));
        }
    }
    let (number, at) = (required(Some(number))?, Timestamp(required(Some(at))?));
    let mut lines = text(packed)?.unwrap_or_default().split('\n');
    let mut events = Vec::new();
    for index in 0..u16::MAX {
        let (Some(client), Some(change), Some(whose)) = (lines.next(), lines.next(), lines.next())
        else {
            break;
        };
        let seq = EventSeq::new(ms, entry, index);
        if let Some(event) = event(seq, at, client, change, whose) {
            events.push(event);
        } else {
            warn!(%seq, "an event that can't be read was passed over");
        }
    }
    Ok(Entry { id: (ms, entry), number, events })
}

/// One event, as prelude.lua tells of it: the client, `from>to extra`, and `lead[ reason]`.
fn event(seq: EventSeq, at: Timestamp, client: &str, change: &str, whose: &str) -> Option<Event> {
    let (change, extra) = change.split_once(' ')?;
    let (from, to) = change.split_once('>')?;
    let from = if from.is_empty() { None } else { Some(BookingState::parse(from)?) };
    let to = BookingState::parse(to)?;
    let (lead, reason) = match whose.match_indices(' ').nth(2) {
        Some((end, _)) => (&whose[..end], &whose[end + 1..]),
        None => (whose, ""),
    };
    let lead = Lead::parse(lead)?;
    Some(Event {
        seq,
        at,
        client: ClientId::new(client).ok()?,
        booking: lead.booking,
        place: lead.place,
        from,
        to,
        fence: lead.fence,
        deadline: if to == BookingState::Reserved {
            Some(Timestamp(extra.parse().ok()?))
        } else {
            None
        },
        outcome: if to == BookingState::Releasing { Some(Outcome::parse(extra)?) } else { None },
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use bookingq_core::{Fence, Place};

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn written(id: &str, number: &str, events: &[[&str; 3]]) -> Value {
        let lines = events.concat();
        let fields = ["n", number, "at", "5", "events", &lines.join("\n")].map(bulk);
        Value::Array(vec![bulk(id), Value::Array(fields.to_vec())])
    }

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    #[test]
    fn an_event_keeps_clients_and_reasons_with_spaces() {
        let whose = format!("{ID} 000000000003 000000000000009 the card: no > funds ");
        let events = [["a client", "confirming>releasing failed", &whose]];
        let entries =
            entries_of(Value::Array(vec![written("7-2", "1", &events)])).expect("entries");
        let event = &entries[0].events[0];
        assert_eq!(event.seq, EventSeq::new(7, 2, 0));
        assert_eq!(event.client.as_str(), "a client");
        assert_eq!(event.reason, "the card: no > funds ");
        assert_eq!(
            (event.place, event.fence, event.outcome),
            (Place::numbered(3), Fence(9), Some(Outcome::Failed))
        );
    }

    #[test]
    fn a_hole_in_the_numbers_is_a_gap_and_foreign_entries_are_passed_over() {
        let whose = format!("{ID} 000000000003 000000000000000");
        let foreign = Value::Array(vec![bulk("7-3"), Value::Array(vec![bulk("x"), bulk("y")])]);
        let read = || {
            let answer = vec![written("7-2", "4", &[["a", ">queued -", &whose]]), foreign.clone()];
            entries_of(Value::Array(answer)).expect("entries")
        };
        assert!(!deliver(read(), EventSeq::START, Some(4), 10).gap);
        assert!(deliver(read(), EventSeq::START, Some(3), 10).gap);
        assert_eq!(deliver(read(), EventSeq::START, Some(4), 10).events.len(), 1);
    }
}
