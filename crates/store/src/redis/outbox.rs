//! The outbox: stream entries as events.
//!
//! Entry numbers have no holes. A reader that knows the number of the last entry it read notices
//! at the next one whether entries are missing: trimmed, or lost in a failover or with all data.

use std::time::Duration;

use ::redis::{Cmd, Value, from_redis_value_ref};
use bookingq_core::{
    BookingState, ClientId, Event, EventSeq, ItemChange, ItemEvent, OutboxEvent, Outcome, Parked,
    Place, Quantity, Timestamp, time,
};
use tracing::warn;

use super::record::ClaimToken;
use super::rollback::EntryMark;
use crate::{Events, Result, StoreError};

/// One stream entry: all events of one store call.
pub(super) struct OutboxEntry {
    /// Both parts of its stream id.
    id: (u64, u64),
    /// Counts entries without holes.
    pub(super) number: u64,
    pub(super) events: Vec<OutboxEvent>,
}

impl OutboxEntry {
    /// What a later connection must find again.
    pub(super) fn mark(&self) -> EntryMark {
        EntryMark { number: self.number, id: format!("{}-{}", self.id.0, self.id.1).into() }
    }

    /// The sequence number of its last event.
    pub(super) fn end(&self) -> EventSeq {
        self.events.last().map_or(EventSeq::new(self.id.0, self.id.1, 0), OutboxEvent::seq)
    }
}

/// The stream id of the entry that an event belongs to.
pub(super) fn entry_id(seq: EventSeq) -> String {
    format!("{}-{}", seq.ms, seq.entry())
}

/// A command that reads the entries after `after`, and blocks for `wait` unless that is zero.
pub(super) fn read_call(key: &str, after: EventSeq, max: usize, wait: Duration) -> Cmd {
    /// Entries in one answer: a few megabytes at 256 events each.
    const MOST: usize = 128;
    let mut call = ::redis::cmd("XREAD");
    call.arg("COUNT").arg(max.clamp(1, MOST));
    if !wait.is_zero() {
        // BLOCK 0 would block without end.
        call.arg("BLOCK").arg(time::millis(wait));
    }
    call.arg("STREAMS").arg(key).arg(entry_id(after));
    call
}

/// Parses stream entries, and skips foreign ones.
pub(super) fn entries(values: &[Value]) -> Vec<OutboxEntry> {
    let mut entries = Vec::with_capacity(values.len());
    for value in values {
        match entry(value) {
            Ok(entry) => entries.push(entry),
            Err(error) => warn!(%error, "skipped a foreign outbox entry"),
        }
    }
    entries
}

/// The answer to a follower after `after`. `expected` is the number of the first entry, unless a
/// gap is known already.
pub(super) fn deliver(
    entries: Vec<OutboxEntry>,
    after: EventSeq,
    mut expected: Option<u64>,
    max: usize,
) -> Events {
    let mut found = Events { events: Vec::new(), next: after, gap: expected.is_none() };
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

fn entry(value: &Value) -> Result<OutboxEntry> {
    type Fields = (String, u64, String, u64, String, Vec<u8>);
    let foreign = || StoreError::unexpected("not an outbox entry", value);
    let (id, fields): (String, Fields) = from_redis_value_ref(value).map_err(|_| foreign())?;
    let (n, number, at_name, at, events_name, packed) = fields;
    let (ms, part) = id
        .split_once('-')
        .and_then(|(ms, part)| Some((ms.parse().ok()?, part.parse().ok()?)))
        .filter(|_| (&*n, &*at_name, &*events_name) == ("n", "at", "events"))
        .ok_or_else(foreign)?;
    let mut events = Vec::new();
    for (index, parsed) in parsed_events(&String::from_utf8_lossy(&packed)).into_iter().enumerate()
    {
        let seq = EventSeq::new(ms, part, index as u16);
        match parsed {
            Some(OutboxEvent::Booking(event)) => {
                events.push(OutboxEvent::Booking(Event { seq, at: Timestamp(at), ..event }));
            }
            Some(OutboxEvent::Item(event)) => {
                events.push(OutboxEvent::Item(ItemEvent { seq, at: Timestamp(at), ..event }));
            }
            None => warn!(%seq, "skipped a corrupt event"),
        }
    }
    Ok(OutboxEntry { id: (ms, part), number, events })
}

/// Parses the events of one outbox entry in Redis, of any origin.
///
/// # Errors
/// [`StoreError::Unexpected`] if one of them is corrupt, of another release, or something else.
pub fn read_events(packed: &[u8]) -> Result<Vec<OutboxEvent>> {
    let packed = String::from_utf8_lossy(packed);
    let events: Option<Vec<_>> = parsed_events(&packed).into_iter().collect();
    events.ok_or_else(|| StoreError::unexpected("not events", &packed))
}

/// Parses events, three lines each; `None` for a corrupt one.
fn parsed_events(packed: &str) -> Vec<Option<OutboxEvent>> {
    let lines: Vec<&str> = packed.split('\n').collect();
    let parse = |lines: &[&str]| {
        let [of, change, cause] = *lines else { return None };
        match change.split_once('>') {
            Some((from, to)) => transition(of, from, to, cause).map(OutboxEvent::Booking),
            None => item_change(of, change, cause).map(OutboxEvent::Item),
        }
    };
    lines.chunks(3).take(usize::from(u16::MAX)).map(parse).collect()
}

/// Parses the three lines that prelude.lua writes for a transition: the client, `from>to extra`,
/// and the claim token with ` reason` if it has one.
fn transition(client: &str, from: &str, to: &str, cause: &str) -> Option<Event> {
    let (to, extra) = to.split_once(' ')?;
    let from = if from.is_empty() { None } else { Some(BookingState::parse(from)?) };
    let to = BookingState::parse(to)?;
    let (token, reason) = match cause.match_indices(' ').nth(2) {
        Some((end, _)) => (&cause[..end], &cause[end + 1..]),
        None => (cause, ""),
    };
    let ClaimToken { booking, place, fence } = ClaimToken::parse(token)?;
    let mut event = Event {
        seq: EventSeq::START,
        at: Timestamp(0),
        client: ClientId::new(client).ok()?,
        booking,
        place,
        from,
        to,
        fence,
        deadline: None,
        outcome: None,
        reason: reason.to_owned(),
        parked: None,
    };
    match (from, to) {
        (_, BookingState::Reserved) => event.deadline = Some(Timestamp(extra.parse().ok()?)),
        (_, BookingState::Releasing) => event.outcome = Some(Outcome::parse(extra)?),
        (Some(_), BookingState::Queued) => {
            let (quantity, item) = extra.split_once(' ')?;
            event.parked = Some(Parked { item: item.into(), quantity: self::quantity(quantity)? });
        }
        _ => {}
    }
    Some(event)
}

/// Parses the change of an item, `sold_out <quantity>`, `open`, `ended` or `parked <quantity>`, and
/// the places of the bookings that are parked.
fn item_change(item: &str, change: &str, places: &str) -> Option<ItemEvent> {
    let change = match change.split_once(' ') {
        Some(("sold_out", refused)) => ItemChange::SoldOut { quantity: quantity(refused)? },
        Some(("parked", wanted)) => {
            let places = places.split(' ').map(|place| place.parse().ok().map(Place::numbered));
            ItemChange::Parked {
                quantity: quantity(wanted)?,
                places: places.collect::<Option<_>>()?,
            }
        }
        None if change == "open" => ItemChange::Open,
        None if change == "ended" => ItemChange::Ended,
        _ => return None,
    };
    Some(ItemEvent { seq: EventSeq::START, at: Timestamp(0), item: item.into(), change })
}

fn quantity(number: &str) -> Option<Quantity> {
    Quantity::new(number.parse().ok()?).ok()
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
        let cause = format!("{ID} 000000000003 000000000000009 the card: no > funds ");
        let events = [["a client", "confirming>releasing failed", &cause]];
        let entries = entries(&[written("7-2", "1", &events)]);
        let event = entries[0].events[0].booking().expect("a transition");
        assert_eq!(event.seq, EventSeq::new(7, 2, 0));
        assert_eq!(event.client.as_str(), "a client");
        assert_eq!(event.reason, "the card: no > funds ");
        assert_eq!(
            (event.place, event.fence, event.outcome),
            (Place::numbered(3), Fence(9), Some(Outcome::Failed))
        );
    }

    #[test]
    fn events_of_items_and_of_parked_bookings_keep_items_with_spaces() {
        let cause = format!("{ID} 000000000003 000000000000009");
        let events = [
            ["VIP > row", "sold_out 4", "-"],
            ["VIP > row", "parked 4", "3 12"],
            ["anna", "reserving>queued 4 VIP > row", &cause],
            ["", "ended", "-"],
            ["", "open", "-"],
            ["", "parked 4", ""],
        ];
        let found = &entries(&[written("7-2", "1", &events)])[0].events;
        let four = Quantity::new(4).expect("a quantity");
        let changes: Vec<_> = found
            .iter()
            .map(|event| match event {
                OutboxEvent::Item(event) => (&*event.item, Some(event.change.clone())),
                OutboxEvent::Booking(event) => {
                    (&*event.parked.as_ref().expect("parked").item, None)
                }
            })
            .collect();
        let places = [3, 12].map(Place::numbered).to_vec();
        let expected = [
            ("VIP > row", Some(ItemChange::SoldOut { quantity: four })),
            ("VIP > row", Some(ItemChange::Parked { quantity: four, places })),
            ("VIP > row", None),
            ("", Some(ItemChange::Ended)),
            ("", Some(ItemChange::Open)),
        ];
        assert_eq!(changes, expected, "the last one is corrupt");
        assert_eq!(found[4].seq(), EventSeq::new(7, 2, 4));
    }

    #[test]
    fn a_hole_in_the_numbers_is_a_gap_and_foreign_entries_are_skipped() {
        let cause = format!("{ID} 000000000003 000000000000000");
        let foreign = Value::Array(vec![bulk("7-3"), Value::Array(vec![bulk("x"), bulk("y")])]);
        let read =
            || entries(&[written("7-2", "4", &[["a", ">queued -", &cause]]), foreign.clone()]);
        assert!(!deliver(read(), EventSeq::START, Some(4), 10).gap);
        assert!(deliver(read(), EventSeq::START, Some(3), 10).gap);
        assert_eq!(deliver(read(), EventSeq::START, Some(4), 10).events.len(), 1);
    }
}
