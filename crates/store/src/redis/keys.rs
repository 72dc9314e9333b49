//! The names of all Redis keys of a queue: the only place that makes them. What they hold is in
//! docs/redis-keys.md.

use bookingq_core::QueueName;

/// A queue's keys, in the order in which each script gets them.
///
/// The queue's name is in braces, Redis Cluster's hash tag, so that all of them live in one slot.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// Sorted set: the line.
    pub(super) queue: String,
    /// Sorted set: tasks.
    pub(super) leases: String,
    /// Sorted set: holds.
    pub(super) timeouts: String,
    /// What the key of each booking begins with; the client's id follows.
    pub(super) status_prefix: String,
    /// Hash: counters.
    pub(super) stats: String,
    /// Stream: the outbox.
    pub(super) events: String,
    /// Hash: schema version, epoch, admission.
    pub(super) meta: String,
    /// Hash: who may notify.
    pub(super) notifier: String,
    /// String: the time, where a test owns it.
    pub(super) test_clock: String,
}

impl Keys {
    /// Of a queue.
    pub(super) fn of(queue: &QueueName) -> Self {
        Self {
            queue: format!("booking-queue:{{{queue}}}"),
            leases: format!("booking-leases:{{{queue}}}"),
            timeouts: format!("booking-timeouts:{{{queue}}}"),
            status_prefix: format!("booking-status:{{{queue}}}:"),
            stats: format!("booking-stats:{{{queue}}}"),
            events: format!("booking-events:{{{queue}}}"),
            meta: format!("booking-meta:{{{queue}}}"),
            notifier: format!("booking-notifier:{{{queue}}}"),
            test_clock: format!("booking-test-clock:{{{queue}}}"),
        }
    }

    /// `KEYS` of every script.
    pub(super) fn all(&self) -> [&str; 9] {
        [
            &self.queue,
            &self.leases,
            &self.timeouts,
            &self.status_prefix,
            &self.stats,
            &self.events,
            &self.meta,
            &self.notifier,
            &self.test_clock,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_carries_the_queue_as_its_hash_tag() {
        let keys = Keys::of(&QueueName::new("shop.concert").expect("a valid name"));
        assert_eq!(keys.queue, "booking-queue:{shop.concert}");
        for key in keys.all() {
            assert_eq!(key.split(['{', '}']).nth(1), Some("shop.concert"), "{key}");
        }
    }
}
