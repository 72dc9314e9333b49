//! Answers about the queue as a whole: those of claim.lua and snapshot.lua.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{Value, from_redis_value_ref};
use bookingq_core::{Admission, ClientId, Generation, Place, Timestamp};
use tracing::warn;

use super::record::{ClaimToken, StoredBooking};
use super::{sale, workforce};
use crate::{Claim, Result, Snapshot, StoreError, Task, Totals};

/// Reads the answer of claim.lua. A corrupt task is left to its lease and never fails the others.
pub(super) fn claim(answer: &[Value]) -> Result<Claim> {
    let [now, next, more, items, tasks @ ..] = answer else {
        return Err(StoreError::unexpected("not the answer of claim.lua", &answer));
    };
    let next: Option<u64> = from_redis_value_ref(next)?;
    let mut claim = Claim {
        now: Timestamp(from_redis_value_ref(now)?),
        tasks: Vec::with_capacity(tasks.len() / 3),
        next: next.map(Duration::from_micros),
        more: from_redis_value_ref(more)?,
    };
    // A corrupt booking can name an item that is no text.
    let items: Vec<(Vec<u8>, u64, bool)> = from_redis_value_ref(items)?;
    let items: HashMap<&[u8], (u64, bool)> =
        items.iter().map(|(name, returned, open)| (&**name, (*returned, *open))).collect();
    for values in tasks.chunks_exact(3) {
        match task(values) {
            Ok(task) => {
                let item = items.get(task.details.item.as_bytes());
                let (returned, item_open) = item.copied().unwrap_or((0, true));
                claim.tasks.push(Task { generation: Generation(returned), item_open, ..task });
            }
            Err(error) => warn!(%error, "skipped a corrupt task"),
        }
    }
    Ok(claim)
}

/// Reads client, claim token, and the booking before the claim.
fn task(values: &[Value]) -> Result<Task> {
    let (client, token): (String, String) =
        (from_redis_value_ref(&values[0])?, from_redis_value_ref(&values[1])?);
    let client = ClientId::new(&client).ok();
    let token = ClaimToken::parse(&token);
    match (client, token, &values[2]) {
        (Some(client), Some(token), Value::BulkString(text)) => {
            StoredBooking::parse(text)?.task(&client, Some(token.fence))
        }
        _ => Err(StoreError::unexpected("not a task", &values)),
    }
}

/// The values of snapshot.lua, in its order.
type SnapshotAnswer = (
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    Option<u64>,
    Option<u64>,
    HashMap<String, u64>,
    HashMap<String, String>,
);

/// Reads the answer of snapshot.lua. Returns the number of the newest outbox entry, too.
pub(super) fn snapshot(answer: SnapshotAnswer) -> Result<(u64, Snapshot)> {
    let (
        now,
        backlog,
        parked_and_ready,
        in_flight,
        due,
        holds,
        overdue,
        outbox,
        front,
        joined,
        counters,
        mut meta,
    ) = answer;
    let admission = match meta.get("admission") {
        None => Admission::default(),
        Some(word) => Admission::parse(word)
            .ok_or_else(|| StoreError::unexpected("not an admission", word))?,
    };
    let rules = sale::rules(&meta)?;
    let counter = |name: &str| counters.get(name).copied().unwrap_or_default();
    let snapshot = Snapshot {
        now: Timestamp(now),
        set_back: false,
        epoch: meta.remove("epoch").unwrap_or_default(),
        admission,
        rules_set: meta.contains_key("rules"),
        rules,
        backlog,
        parked: counter("waiting"),
        claimable: backlog + parked_and_ready,
        in_flight,
        due,
        holds,
        overdue,
        front: front.map(Place::numbered).zip(joined.map(Timestamp)),
        totals: totals(&counters),
        swept_at: counters.get("swept_at").copied().map(Timestamp),
        outbox,
        workforce: meta.get(workforce::FIELD).and_then(|text| workforce::read(text)),
    };
    Ok((counter("entries"), snapshot))
}

fn totals(counters: &HashMap<String, u64>) -> Totals {
    let counter = |name: &str| counters.get(name).copied().unwrap_or_default();
    Totals {
        enqueued: counter("enqueued"),
        dispatched: counter("dispatched"),
        claimed: counter("claimed"),
        reclaimed: counter("reclaimed"),
        retried: counter("retried"),
        stale: counter("stale"),
        reserved: counter("reserved"),
        confirmed: counter("confirmed"),
        expired: counter("expired"),
        cancelled: counter("cancelled"),
        sold_out: counter("sold_out"),
        rejected: counter("rejected"),
        failed: counter("failed"),
        busy_us: counter("busy_us"),
        damaged: counter("damaged"),
        parked: counter("parked"),
        reacquired: counter("reacquired"),
    }
}
