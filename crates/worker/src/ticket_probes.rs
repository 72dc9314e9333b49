//! Asks the Ticket Service for stock of closed items that came back: one worker of the queue, once
//! a second.
//!
//! An item opens, or gets credit for what is left, when two rounds in a row find stock that is no
//! credit of the queue: what the queue itself has just released shows for a moment, and is claimed
//! without an opening.
//!
//! Without a Ticket Service the store lets a booking that waits try a Reserve every few seconds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::ItemState;
use bookingq_follow::FollowedQueue;
use bookingq_store::StoreError;
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tracing::{debug, info};

use crate::downstream::ServiceCallError;
use crate::notifier_hold::LEASE;
use crate::processing::Executor;

/// Time between two rounds, and the longest that one may take.
const EVERY: Duration = Duration::from_secs(1);
/// Longest rest of an item.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Items in one round, and calls at once.
const ITEMS: usize = 128;
const CALLS: usize = 16;

/// Asks about every closed item that somebody waits for, in turn.
pub struct TicketProbes {
    owner: String,
    executor: Arc<Executor>,
    queue: Arc<FollowedQueue>,
    /// The item that the last round ended with.
    last: Arc<str>,
    /// Items of which the last answer was that there is stock.
    available: Mutex<HashSet<Arc<str>>>,
    /// Items that were opened or got credit: when they are asked about again, and how long they
    /// rest. A Ticket Service that is wrong must not cause a Reserve each second.
    resting: Mutex<HashMap<Arc<str>, (Instant, Duration)>>,
}

impl TicketProbes {
    /// Probes that have not started; `owner` is unique among the workers of a queue.
    pub fn new(owner: String, executor: Arc<Executor>, queue: Arc<FollowedQueue>) -> Self {
        let (available, resting) = (Mutex::default(), Mutex::default());
        Self { owner, executor, queue, last: Arc::from(""), available, resting }
    }

    /// Probes whenever this worker has the lease of the notifier, until dropped. It takes the lease
    /// if no worker has it, as in a queue without a Realtime Service.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let items = self.next_items();
            if items.is_empty() {
                continue;
            }
            match self.executor.store.store().notifier(&self.owner, LEASE, None).await {
                Ok(Some(_)) => {
                    let round = futures::stream::iter(&items)
                        .for_each_concurrent(CALLS, |item| self.probe(item));
                    // An item that is left out has its turn again.
                    let _ = timeout(EVERY, round).await;
                }
                Ok(None) => {}
                Err(error) => self.executor.metrics.store_failed(&error),
            }
        }
    }

    /// The closed items that somebody waits for, by name, from where the last round ended.
    fn next_items(&mut self) -> Vec<ItemState> {
        let closed = self.queue.items.closed();
        let mut resting = self.resting.lock();
        resting.retain(|item, _| closed.contains_key(item));
        let rests = |item: &ItemState| {
            resting.get(&item.item).is_some_and(|(until, _)| Instant::now() < *until)
        };
        let waited_for =
            |item: &&ItemState| item.waiting > 0 && !item.ended && item.credit == 0 && !rests(item);
        let mut items: Vec<ItemState> = closed.values().filter(waited_for).cloned().collect();
        items.sort_by(|a, b| a.item.cmp(&b.item));
        let start = items.partition_point(|item| item.item <= self.last);
        items.rotate_left(start);
        items.truncate(ITEMS);
        self.last = items.last().map_or_else(|| Arc::from(""), |item| Arc::clone(&item.item));
        items
    }

    async fn probe(&self, item: &ItemState) {
        let Some(quantity) = item.refused else { return };
        let Some(answer) = self.executor.ask_ticket_service(&item.item, quantity).await else {
            return;
        };
        let outcome =
            answer.as_ref().map_or_else(ServiceCallError::as_str, |answer| answer.as_str());
        self.executor.metrics.tasks.ticket_probes.with_label_values(&[outcome]).inc();
        let Ok(answer) =
            answer.inspect_err(|error| debug!(%error, item = &*item.item, "no answer"))
        else {
            return;
        };
        if self.is_lasting(item, answer.available) {
            self.rest(&item.item);
            // Without a number: for one more booking of this quantity.
            let left = answer.left.unwrap_or(u64::from(quantity.get()));
            if let Err(error) = self.restocked(item, Some(left)).await {
                self.executor.metrics.store_failed(&error);
            }
        }
    }

    /// Lets an item rest, twice as long as the last time.
    fn rest(&self, item: &Arc<str>) {
        let mut resting = self.resting.lock();
        let last = resting.get(item).map_or(EVERY / 2, |(_, rested)| *rested);
        let rested = (last * 2).min(LONGEST_REST);
        resting.insert(Arc::clone(item), (Instant::now() + rested, rested));
    }

    /// Whether this round and the last one found stock.
    fn is_lasting(&self, item: &ItemState, available: bool) -> bool {
        let mut items = self.available.lock();
        let before = items.remove(&item.item);
        if available && !before {
            items.insert(Arc::clone(&item.item));
        }
        available && before
    }

    async fn restocked(&self, item: &ItemState, left: Option<u64>) -> Result<(), StoreError> {
        info!(item = &*item.item, left, "the Ticket Service has stock of an item again");
        self.executor.store.store().restocked(Arc::clone(&item.item), left).await
    }
}
