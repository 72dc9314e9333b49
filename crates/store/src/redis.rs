//! The Redis store: one queue's bookings in Redis, one Lua script for each transition.
//!
//! ```text
//!   RedisStore   Store's methods: batches cut to size, sent as script calls
//!     |- keys      every key name            |- scripts   scripts/*.lua, their clock and columns
//!     |- link      the connection            |- fault     what an error means for it
//!     |- calls     requests and answers      |- record    a booking as a text
//!     |- outbox    stream entries as events  |- reader    the outbox from a cursor on
//!     |- settings  the server's settings     |- rollback  detects lost or set-back data
//!     |- config    the settings of a store   |- sale      rules of the sale, states of items
//!     |- answers   tasks and snapshots       |- tls       certificates
//!     |- address   the URL, read             |- sentinel  where Sentinel says the primary is
//!     |- locator   finds the primary         |- cluster   finds the node of the queue's slot
//!     |- workforce the workers as a text     |- dial      one connection, and its role
//!     '- node      a server, for failovers
//! ```
//!
//! Each call is one script, so one atomic step, and safe to repeat when its answer is lost.

mod address;
mod answers;
mod batches;
mod calls;
mod cluster;
mod config;
pub(crate) mod copy;
mod dial;
mod fault;
mod keys;
mod link;
mod locator;
pub mod node;
mod outbox;
mod reader;
mod record;
pub(crate) mod resp;
mod rollback;
mod sale;
mod scripts;
mod sentinel;
mod settings;
mod tls;
mod workforce;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use async_trait::async_trait;
use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::{
    Admission, Booking, ClientId, EventSeq, ItemState, Outflow, Place, QueueName, Refusal,
    SaleRules, Timestamp, Workforce,
};
use bookingq_queue::bounds;
use tracing::warn;

use self::calls::Reacquire;
pub use self::config::{RedisConfig, SentinelLogin};
use self::link::Link;
pub use self::outbox::read_events;
use self::reader::StreamReader;
pub use self::record::read_booking;
use self::rollback::RollbackDetector;
use self::scripts::{ScriptClock, ScriptName};
pub use self::tls::RedisTls;
pub use crate::pem::PemSource;
use crate::{
    Cancel, Claim, Confirm, Confirmed, Enqueue, Enqueued, Events, Lease, NotifierLease, Opened,
    OrRefusal, Result, Scope, Settled, Settlement, Snapshot, Store, Swept,
};

/// One queue's bookings in Redis.
pub struct RedisStore {
    queue: QueueName,
    link: Arc<Link>,
    reader: StreamReader,
    detector: Arc<RollbackDetector>,
}

impl RedisStore {
    /// Returns a store that connects at its first call, so that Redis may start later.
    ///
    /// # Errors
    /// [`StoreError::Settings`](crate::StoreError::Settings) if the URL is invalid.
    pub fn connect(config: RedisConfig) -> Result<Self> {
        Self::with_clock(config, ScriptClock::Redis)
    }

    /// Returns a store whose clock moves only when a test calls [`Self::set_clock`].
    #[doc(hidden)]
    pub fn connect_with_test_clock(config: RedisConfig) -> Result<Self> {
        Self::with_clock(config, ScriptClock::Test)
    }

    fn with_clock(config: RedisConfig, clock: ScriptClock) -> Result<Self> {
        let detector = Arc::<RollbackDetector>::default();
        let link = Link::new(&config, clock, Arc::clone(&detector))?;
        let reader = StreamReader::new(Arc::clone(&link), Arc::clone(&detector));
        Ok(Self { queue: config.queue, link, reader, detector })
    }

    /// Sets the time of a store made by [`Self::connect_with_test_clock`].
    #[doc(hidden)]
    pub async fn set_clock(&self, now: Timestamp) -> Result<()> {
        let mut set = ::redis::cmd("SET");
        set.arg(&self.link.keys.test_clock).arg(now.0);
        self.link.run(&set).await
    }
}

#[async_trait]
impl Store for RedisStore {
    fn queue(&self) -> &QueueName {
        &self.queue
    }

    fn connect_read_only(&self, read_only: bool) {
        self.link.connect_read_only(read_only);
    }

    async fn open(&self) -> Result<Opened> {
        let outdated = self.detector.outdated_epoch().unwrap_or_default();
        let call = self.link.open_call(&outdated, None);
        let (opened, _) = link::opened(self.link.run(&call).await?)?;
        self.link.wrote();
        if self.detector.open(&opened.epoch) {
            warn!(queue = %self.queue, epoch = opened.epoch, "Redis holds other data than before");
        }
        // Some services do not know the command, and an ACL may forbid it.
        let found: Option<HashMap<String, String>> =
            self.link.run_if_granted(&settings::call()).await?;
        let warnings = match found {
            Some(settings) => settings::warnings(&settings),
            None => vec![settings::hidden()],
        };
        let missing_replicas = match self.link.acknowledge_replicas() {
            0 => None,
            wanted => {
                let mut info = ::redis::cmd("INFO");
                let answer: Option<String> =
                    self.link.run_if_granted(info.arg("replication")).await?;
                settings::missing_replicas(&answer.unwrap_or_default(), wanted)
            }
        };
        Ok(Opened { warnings, missing_replicas, ..opened })
    }

    async fn enqueue(&self, batch: Vec<Enqueue>) -> Result<Vec<OrRefusal<Enqueued>>> {
        self.run_batch(&batch, None).await
    }

    async fn claim(&self, max: usize, lease: Duration, scope: Scope) -> Result<Claim> {
        let scope = match scope {
            Scope::Everything => "everything",
            Scope::OnceRuled => "once_ruled",
            Scope::DueOnly => "due_only",
        };
        let mut claim = Claim::default();
        loop {
            let room = max - claim.tasks.len();
            let part = room.min(MAX_STORE_BATCH);
            let mut call = self.link.call(ScriptName::Claim);
            call.arg(part).arg(bounds::millis(lease)).arg(scope);
            let (answer, had): (Vec<Value>, u8) = self.publish_counted(&call).await?;
            let found = answers::claim(&answer)?;
            // A worker calls the Booking Service for these tasks. After a failover that takes back
            // the claim, or the payment before it, another state would follow for the same booking.
            // Without enough replicas they wait for their lease.
            if !found.tasks.is_empty() {
                self.link.check_replicas(had)?;
            }
            let full = found.tasks.len() == part;
            claim.tasks.extend(found.tasks);
            claim = Claim { tasks: claim.tasks, ..found };
            if !full || part == room {
                return Ok(claim);
            }
        }
    }

    async fn renew(&self, batch: Vec<Lease>, lease: Duration) -> Result<Vec<bool>> {
        self.run_batch(&batch, Some(lease)).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<Settled>> {
        self.run_batch(&batch, None).await
    }

    async fn confirm(
        &self,
        batch: Vec<Confirm>,
        lease: Duration,
    ) -> Result<Vec<OrRefusal<Confirmed>>> {
        let mut answers = self.run_batch(&batch, Some(lease)).await?;
        let is_late = |answers: &[OrRefusal<Confirmed>], at: &usize| {
            answers[*at] == Err(Refusal::HoldExpired) && batch[*at].reacquire.is_some()
        };
        let late: Vec<usize> = (0..batch.len()).filter(|at| is_late(&answers, at)).collect();
        let again: Vec<_> = late.iter().map(|at| Reacquire(batch[*at].clone())).collect();
        for (at, answer) in late.iter().zip(self.run_batch(&again, Some(lease)).await?) {
            answers[*at] = answer;
        }
        // The same payment in another call may have made the new booking in between.
        let late: Vec<usize> = late.into_iter().filter(|at| is_late(&answers, at)).collect();
        let again: Vec<_> = late.iter().map(|at| batch[*at].clone()).collect();
        for (at, answer) in late.iter().zip(self.run_batch(&again, Some(lease)).await?) {
            answers[*at] = answer;
        }
        Ok(answers)
    }

    async fn cancel(&self, batch: Vec<Cancel>) -> Result<Vec<OrRefusal<Booking>>> {
        self.run_batch(&batch, None).await
    }

    async fn status(&self, batch: Vec<ClientId>) -> Result<Vec<Option<Booking>>> {
        self.run_batch(&batch, None).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        let mut swept = Swept::default();
        loop {
            let mut call = self.link.call(ScriptName::Sweep);
            call.arg((limit - swept.expired).min(MAX_STORE_BATCH));
            let (expired, next_deadline): (usize, Option<u64>) = self.publish(&call).await?;
            let more = next_deadline == Some(0);
            let next_deadline = next_deadline.map(Duration::from_millis);
            swept = Swept { expired: swept.expired + expired, more, next_deadline };
            if !more || expired == 0 || swept.expired >= limit {
                return Ok(swept);
            }
        }
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        let watermark = self.detector.watermark();
        let answer = self.link.run(&self.link.call(ScriptName::Snapshot)).await?;
        let (entries, snapshot) = answers::snapshot(answer)?;
        Ok(Snapshot { set_back: self.detector.observe(entries, watermark), ..snapshot })
    }

    async fn set_admission(&self, admission: Admission) -> Result<()> {
        let mut set = ::redis::cmd("HSET");
        set.arg(&self.link.keys.meta).arg("admission").arg(admission.as_str());
        self.link.run(&set).await
    }

    async fn events(&self, after: EventSeq, max: usize, wait: Duration) -> Result<Events> {
        self.reader.events(after, max, wait).await
    }

    async fn latest_event(&self) -> Result<EventSeq> {
        self.reader.latest().await
    }

    async fn waiting(
        &self,
        item: Option<Arc<str>>,
        after: Place,
        max: usize,
    ) -> Result<Vec<Place>> {
        const PAGE: usize = 4096;
        let mut places: Vec<Place> = Vec::new();
        loop {
            let page = PAGE.min(max - places.len());
            let last = places.last().copied().unwrap_or(after);
            let found: Vec<u64> = if let Some(item) = &item {
                let mut call = self.link.call(ScriptName::ParkedPlaces);
                call.arg(&**item).arg(last.to_string()).arg(page);
                self.link.run(&call).await?
            } else {
                let mut call = ::redis::cmd("ZRANGE");
                call.arg(&self.link.keys.queue).arg(format!("({last}")).arg("+inf").arg("BYSCORE");
                call.arg("LIMIT").arg(0).arg(page).arg("WITHSCORES");
                let found: Vec<(Value, u64)> = self.link.run(&call).await?;
                found.into_iter().map(|(_, number)| number).collect()
            };
            places.extend(found.iter().map(|number| Place::numbered(*number)));
            if found.len() < page || places.len() >= max {
                return Ok(places);
            }
        }
    }

    async fn set_rules(&self, rules: SaleRules) -> Result<()> {
        let mut call = self.link.call(ScriptName::SetRules);
        call.arg("rules");
        sale::push_rules(&rules, &mut call);
        self.publish(&call).await
    }

    async fn set_outflow(&self, outflow: Outflow) -> Result<()> {
        let mut call = self.link.call(ScriptName::SetRules);
        call.arg("outflow");
        sale::push_outflow(outflow, &mut call);
        self.publish(&call).await
    }

    async fn set_workforce(&self, workforce: &Workforce) -> Result<()> {
        self.link.run(&workforce::recording(&self.link.keys.meta, workforce)).await
    }

    async fn closed_items(&self, max: usize) -> Result<Vec<ItemState>> {
        let mut states: Vec<ItemState> = Vec::new();
        loop {
            let page = (max - states.len()).min(MAX_STORE_BATCH);
            let mut call = self.link.call(ScriptName::ItemStates);
            call.arg("closed").arg(states.len()).arg(page);
            let answer: Vec<Value> = self.link.run(&call).await?;
            states.extend(sale::item_states(&answer)?);
            if answer.len() < page || states.len() >= max {
                return Ok(states);
            }
        }
    }

    async fn items(&self, batch: Vec<Arc<str>>) -> Result<Vec<ItemState>> {
        let mut states = Vec::with_capacity(batch.len());
        for part in batch.chunks(MAX_STORE_BATCH) {
            let mut call = self.link.call(ScriptName::ItemStates);
            call.arg("named");
            for item in part {
                call.arg(&**item);
            }
            let answer: Vec<Value> = self.link.run(&call).await?;
            states.extend(sale::item_states(&answer)?);
        }
        Ok(states)
    }

    async fn restocked(&self, item: Arc<str>, left: Option<u64>) -> Result<()> {
        let mut call = self.link.call(ScriptName::Restock);
        call.arg(&*item).arg(left.map(|left| left.to_string()).unwrap_or_default());
        self.publish(&call).await
    }

    async fn notifier(
        &self,
        owner: &str,
        lease: Duration,
        done: Option<EventSeq>,
    ) -> Result<Option<NotifierLease>> {
        let mut call = self.link.call(ScriptName::Notifier);
        call.arg(owner).arg(bounds::millis(lease));
        match done {
            Some(done) => call.arg(done.ms).arg(done.number),
            None => call.arg("").arg(""),
        };
        let cursor: Option<(u64, u64)> = self.link.run(&call).await?;
        Ok(cursor.map(|(ms, number)| NotifierLease { done: EventSeq { ms, number } }))
    }
}
