//! The names of all Redis keys of a queue, made only here. docs/redis-keys.md describes their
//! values.

use bookingq_core::QueueName;

/// The keys that single commands use. The scripts get them all.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// Sorted set: the line.
    pub(super) queue: String,
    /// Stream: the outbox.
    pub(super) events: String,
    /// Hash: schema version, epoch, admission, rules of the sale.
    pub(super) meta: String,
    /// String: counts the failovers of a managed Redis.
    pub(super) term: String,
    /// String: counts the writes that waited for replicas.
    pub(super) barrier: String,
    /// String: the time, where a test controls it.
    pub(super) test_clock: String,
    /// `KEYS` of every script, in the order that prelude.lua expects.
    pub(super) of_scripts: [String; 13],
}

impl Keys {
    pub(super) fn of(queue: &QueueName) -> Self {
        // The braces are Redis Cluster's hash tag: all keys of a queue live in one slot.
        let key = |name: &str| format!("booking-{name}:{{{queue}}}");
        let (line, events, meta, test_clock) =
            (key("queue"), key("events"), key("meta"), key("test-clock"));
        let of_scripts = [
            line.clone(),
            key("leases"),
            key("timeouts"),
            // The prefix of the key of each booking; the client's id follows.
            key("status") + ":",
            key("stats"),
            events.clone(),
            meta.clone(),
            key("notifier"),
            key("items"),
            key("closed"),
            key("ready"),
            // The prefix of the sets of parked bookings; a quantity and an item follow.
            key("parked") + ":",
            test_clock.clone(),
        ];
        let (term, barrier) = (key("term"), key("barrier"));
        Self { queue: line, events, meta, term, barrier, test_clock, of_scripts }
    }

    /// Hash: counters, also that of the outbox entries.
    pub(super) fn stats(&self) -> &str {
        &self.of_scripts[4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_carries_the_queue_as_its_hash_tag() {
        let keys = Keys::of(&QueueName::new("summer.concert").expect("a valid name"));
        assert_eq!(keys.queue, "booking-queue:{summer.concert}");
        for key in &keys.of_scripts {
            assert_eq!(key.split(['{', '}']).nth(1), Some("summer.concert"), "{key}");
        }
    }
}
