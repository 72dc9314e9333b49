//! The Redis store: one queue's bookings in Redis, one Lua script for each transition.
//!
//! ```text
//!   RedisStore   Store's methods: batches cut to size, sent as script calls, answers decoded
//!     |- keys      every key name        |- scripts   scripts/*.lua and their clock
//!     |- link      the connection        |- fault     what an error means for it
//!     |- batch     requests as arguments |- decode    answers as types
//!     |- record    a booking as a text   |- outbox    stream entries as events
//!     |                                  |- follow    reading on in the outbox
//!     |- settings  the server's settings |- known     noticing data that was lost or set back
//!                                        '- config    what a store is told at its start
//! ```
//!
//! Each call is one script, so one atomic step. A call whose answer is lost may or may not have
//! taken effect; it is not repeated here but by the caller, and every script is safe to repeat.

mod batch;
mod config;
mod decode;
mod fault;
mod follow;
mod keys;
mod known;
mod link;
mod outbox;
mod record;
mod scripts;
mod settings;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Value};
use async_trait::async_trait;
use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::time::millis;
use bookingq_core::{Admission, Booking, ClientId, EventSeq, Place, QueueName, Refusal, Timestamp};
use tracing::warn;

pub use self::config::RedisConfig;
use self::decode::{array, number, required, unexpected};
use self::follow::Follower;
use self::known::Known;
use self::link::{Link, SCHEMA};
pub use self::record::read_booking;
use self::scripts::ScriptClock;
use crate::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Opened,
    Result, Scope, Settled, Settlement, Snapshot, Store, StoreError, Swept,
};

/// One queue's bookings in Redis.
pub struct RedisStore {
    config: RedisConfig,
    link: Arc<Link>,
    follower: Follower,
    known: Known,
}

impl RedisStore {
    /// A store that connects at its first call, so that it can be made before Redis is there.
    ///
    /// # Errors
    /// [`StoreError::Settings`] if the URL is none.
    pub fn connect(config: RedisConfig) -> Result<Self> {
        Self::with_clock(config, ScriptClock::Redis)
    }

    /// A store whose time is set by a test with [`Self::set_clock`], and stands still otherwise.
    #[doc(hidden)]
    pub fn connect_with_test_clock(config: RedisConfig) -> Result<Self> {
        Self::with_clock(config, ScriptClock::Test)
    }

    fn with_clock(config: RedisConfig, clock: ScriptClock) -> Result<Self> {
        let link = Link::new(&config, clock)?;
        let known = Known::default();
        Ok(Self { config, link, follower: Follower::new(known.clone()), known })
    }

    /// Sets the time of a store made by [`Self::connect_with_test_clock`].
    #[doc(hidden)]
    pub async fn set_clock(&self, now: Timestamp) -> Result<()> {
        let mut set = ::redis::cmd("SET");
        set.arg(&self.link.keys.test_clock).arg(now.0);
        self.link.command(&set).await.map(drop)
    }

    /// A call of a script, up to the arguments that all of them share.
    fn call(&self, script: &::redis::Script) -> Cmd {
        let mut call = self.link.call(script);
        call.arg(self.config.outbox_entries.max(1))
            .arg(millis(bookingq_queue::bounds::span(self.config.retention)));
        call
    }

    /// One script call for each part of a batch, with `lead` in front of the items; one answer for
    /// each item.
    async fn in_parts<I: Sync, O>(
        &self,
        script: &::redis::Script,
        lead: Option<Duration>,
        batch: &[I],
        client: impl Fn(&I) -> &ClientId + Send,
        push: impl Fn(&mut Cmd, &[I]) + Send,
        read: impl Fn(&I, Value) -> Result<O> + Send,
    ) -> Result<Vec<O>> {
        let mut results = Vec::with_capacity(batch.len());
        for part in parts(batch, client) {
            let mut call = self.call(script);
            if let Some(lead) = lead {
                call.arg(millis(bookingq_queue::bounds::span(lead)));
            }
            push(&mut call, part);
            let answers = array(self.link.script(script, &call).await?)?;
            if answers.len() != part.len() {
                return Err(StoreError::Unexpected(format!(
                    "{} answers to {} items",
                    answers.len(),
                    part.len()
                )));
            }
            for (item, answer) in part.iter().zip(answers) {
                results.push(read(item, answer)?);
            }
        }
        Ok(results)
    }

    /// The server's settings that are unsafe.
    async fn warnings(&self) -> Result<Vec<String>> {
        match self.link.command(&settings::call()).await {
            Ok(answer) => Ok(settings::warnings(&answer)),
            // Refused: managed services do that.
            Err(StoreError::Unexpected(_)) => Ok(vec![settings::unknown()]),
            Err(error) => Err(error),
        }
    }
}

/// Cuts a batch into script calls: of at most 256, and with nobody twice in one, since a script
/// decides about all before it writes.
fn parts<I>(batch: &[I], client: impl Fn(&I) -> &ClientId) -> Vec<&[I]> {
    let mut parts = Vec::with_capacity(1);
    let mut named = HashSet::with_capacity(batch.len().min(MAX_STORE_BATCH));
    let mut start = 0;
    for (at, item) in batch.iter().enumerate() {
        if at - start == MAX_STORE_BATCH || named.contains(client(item)) {
            parts.push(&batch[start..at]);
            named.clear();
            start = at;
        }
        named.insert(client(item));
    }
    if start < batch.len() {
        parts.push(&batch[start..]);
    }
    parts
}

/// The arguments of all items, those of one after those of the other.
fn each<I>(push: impl Fn(&mut Cmd, &I)) -> impl Fn(&mut Cmd, &[I]) {
    move |call, part| part.iter().for_each(|item| push(call, item))
}

#[async_trait]
impl Store for RedisStore {
    fn queue(&self) -> &QueueName {
        &self.config.queue
    }

    async fn open(&self) -> Result<Opened> {
        let call = self.link.open_call(self.known.outdated().as_deref());
        let opened =
            decode::opened(self.link.script(&self.link.scripts.open, &call).await?, SCHEMA)?;
        if self.known.opened(&opened.epoch) {
            warn!(queue = %self.config.queue, epoch = opened.epoch, "this is not the data of before");
        }
        Ok(Opened { warnings: self.warnings().await?, ..opened })
    }

    async fn enqueue(
        &self,
        batch: Vec<Enqueue>,
    ) -> Result<Vec<std::result::Result<Enqueued, Refusal>>> {
        let script = &self.link.scripts.enqueue;
        let mut results = Vec::with_capacity(batch.len());
        for part in parts(&batch, |asked| &asked.client) {
            let mut call = self.call(script);
            each(batch::push_enqueue)(&mut call, part);
            results.extend(batch::enqueued(part, self.link.script(script, &call).await?)?);
        }
        Ok(results)
    }

    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim> {
        let script = &self.link.scripts.claim;
        let mut claim = Claim::default();
        loop {
            let room = max - claim.tasks.len();
            let part = room.min(MAX_STORE_BATCH);
            let mut call = self.call(script);
            call.arg(part)
                .arg(millis(bookingq_queue::bounds::span(lease)))
                .arg(batch::scope_word(scope));
            let found = batch::claim(self.link.script(script, &call).await?)?;
            let full = found.tasks.len() == part;
            claim.tasks.extend(found.tasks);
            claim = Claim { tasks: claim.tasks, ..found };
            if !full || part == room {
                return Ok(claim);
            }
        }
    }

    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>> {
        let read = |_: &Lease, answer| Ok(number(&answer)? == Some(1));
        let script = &self.link.scripts.renew;
        self.in_parts(
            script,
            Some(lease),
            &batch,
            |lease| &lease.client,
            each(batch::push_lease),
            read,
        )
        .await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        let (script, push) = (&self.link.scripts.settle, batch::push_settlements);
        let read = |_: &Settlement, answer| decode::settled(&answer);
        self.in_parts(script, None, &batch, |settlement| &settlement.lease.client, push, read).await
    }

    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<std::result::Result<Confirmed, Refusal>>> {
        let (script, push) = (&self.link.scripts.confirm, each(batch::push_confirm));
        self.in_parts(script, Some(lease), &batch, |paid| &paid.client, push, batch::confirmed)
            .await
    }

    async fn cancel(
        &self,
        batch: Vec<Cancel>,
    ) -> Result<Vec<std::result::Result<Booking, Refusal>>> {
        let (script, push) = (&self.link.scripts.cancel, each(batch::push_cancel));
        self.in_parts(script, None, &batch, |asked| &asked.client, push, batch::cancelled).await
    }

    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>> {
        let (script, push) = (&self.link.scripts.status, each(batch::push_client));
        let read = |client: &ClientId, answer| Ok(batch::status(client, answer));
        self.in_parts(script, None, &batch, |client| client, push, read).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        let script = &self.link.scripts.sweep;
        let mut swept = Swept::default();
        loop {
            let part = (limit - swept.expired).min(MAX_STORE_BATCH);
            let mut call = self.call(script);
            call.arg(part);
            let answers = array(self.link.script(script, &call).await?)?;
            let expired = required(answers.first())? as usize;
            let next_deadline = decode::milliseconds(answers.get(1))?;
            let more = next_deadline == Some(Duration::ZERO);
            swept = Swept { expired: swept.expired + expired, more, next_deadline };
            if !more || expired == 0 || swept.expired >= limit {
                return Ok(swept);
            }
        }
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        let script = &self.link.scripts.snapshot;
        let mark = self.known.mark();
        let (entries, snapshot) =
            decode::snapshot(self.link.script(script, &self.call(script)).await?)?;
        Ok(Snapshot { set_back: self.known.shows(entries, mark), ..snapshot })
    }

    async fn set_admission(&self, admission: Admission) -> Result<()> {
        let mut set = ::redis::cmd("HSET");
        set.arg(&self.link.keys.meta).arg("admission").arg(admission.as_str());
        self.link.command(&set).await.map(drop)
    }

    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events> {
        self.follower.events(&self.link, after, max, wait).await
    }

    async fn latest_event(&self) -> Result<EventSeq> {
        self.follower.latest(&self.link).await
    }

    async fn waiting(&self, after: Place, max: usize) -> Result<Vec<Place>> {
        const PAGE: usize = 4096;
        let mut places: Vec<Place> = Vec::new();
        loop {
            let page = PAGE.min(max - places.len());
            let last = places.last().copied().unwrap_or(after);
            let mut call = ::redis::cmd("ZRANGE");
            call.arg(&self.link.keys.queue).arg(format!("({last}")).arg("+inf").arg("BYSCORE");
            call.arg("LIMIT").arg(0).arg(page).arg("WITHSCORES");
            let answer = array(self.link.command(&call).await?)?;
            let found = answer.len() / 2;
            for pair in answer.chunks_exact(2) {
                let place = number(&pair[1])?.ok_or_else(|| unexpected("not a place", &pair[1]))?;
                places.push(Place::numbered(place));
            }
            if found < page || places.len() >= max {
                return Ok(places);
            }
        }
    }

    async fn notifier(
        &self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
    ) -> Result<Option<NotifierLease>> {
        let script = &self.link.scripts.notifier;
        let mut call = self.call(script);
        call.arg(owner).arg(millis(bookingq_queue::bounds::span(lease)));
        match done {
            Some(done) => call.arg(done.ms).arg(done.number),
            None => call.arg("").arg(""),
        };
        match self.link.script(script, &call).await? {
            Value::Nil => Ok(None),
            answer => {
                let parts = array(answer)?;
                let done =
                    EventSeq { ms: required(parts.first())?, number: required(parts.get(1))? };
                Ok(Some(NotifierLease { done }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_twice_in_a_part_and_no_part_is_too_long() {
        let clients = |names: &[&str]| -> Vec<ClientId> {
            names.iter().map(|name| ClientId::new(name).expect("a valid id")).collect()
        };
        let batch = clients(&["a", "b", "a", "a", "c", "b"]);
        let cut: Vec<usize> =
            parts(&batch, |client| client).iter().map(|part| part.len()).collect();
        assert_eq!(cut, [2, 1, 3]);
        let many: Vec<ClientId> = (0..600).map(|n| clients(&[&n.to_string()]).remove(0)).collect();
        let cut: Vec<usize> = parts(&many, |client| client).iter().map(|part| part.len()).collect();
        assert_eq!(cut, [256, 256, 88]);
        assert!(parts(&many[..0], |client| client).is_empty());
    }
}
