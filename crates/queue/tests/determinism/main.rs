//! Equal commands at equal times give equal states, wherever they are applied: with other hash
//! seeds, read back from bytes, and with the whole state encoded and decoded at any moment.

#![allow(clippy::unwrap_used)]

mod damage;
mod steps;

use std::time::Duration;

use bookingq_core::{EventSeq, Place, Timestamp};
use bookingq_queue::{Queue, QueueAnswer, QueueCommand, QueueLimits};
use proptest::prelude::*;

use crate::steps::{Commands, Step, step};

const START: Timestamp = Timestamp(1_800_000_000_000);
const LIMITS: QueueLimits =
    QueueLimits { retention: Duration::from_millis(300), outbox_events: 64 };

/// A command with the moment that the log has stamped it with.
struct Logged {
    bytes: Vec<u8>,
    stamp: Timestamp,
    answer: QueueAnswer,
}

/// Applies a sequence to a new queue; the clock of the log may go back.
fn record(steps: &[(Step, i64)]) -> (Queue, Vec<Logged>) {
    let mut queue = Queue::new(Duration::ZERO, 1);
    let mut commands = Commands::default();
    let (mut stamp, mut log) = (START, Vec::new());
    for (step, passes) in steps {
        stamp = Timestamp(stamp.0.saturating_add_signed(*passes));
        let command = commands.next(step, &queue);
        let answer = queue.apply(&command, LIMITS, stamp);
        commands.learn(&answer);
        log.push(Logged { bytes: command.encode(), stamp, answer });
    }
    (queue, log)
}

/// Everything that can be read, but for the events that a decoded queue does not have.
fn readable(queue: &Queue, clients: &Commands) -> impl PartialEq + std::fmt::Debug + use<> {
    let status: Vec<_> = clients.clients.iter().map(|client| queue.status(client)).collect();
    let items: Vec<_> = clients.items.iter().map(|item| queue.item(item)).collect();
    let parked = clients.items.iter().map(|item| queue.waiting(Some(item), Place::START, 99));
    let waiting: Vec<_> = parked.chain([queue.waiting(None, Place::START, 99)]).collect();
    let mut snapshot = queue.snapshot(queue.last());
    snapshot.outbox = 0;
    (status, items, waiting, snapshot, queue.closed_items(99), queue.latest_event())
}

/// The same queue, in another process.
fn moved(queue: &Queue, chunk: usize) -> Queue {
    let chunks: Vec<Vec<u8>> = queue.encode(chunk).collect();
    let decoded = Queue::decode(&chunks).unwrap();
    assert_eq!(decoded.digest(), queue.digest());
    let again: Vec<Vec<u8>> = decoded.encode(chunk).collect();
    assert_eq!(chunks, again, "equal states have equal chunks");
    decoded
}

/// Time to the next command: mostly short, sometimes as long as an item rests between two probes.
fn passes() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -40i64..90, 1 => 4_900i64..5_100]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_log_has_one_outcome(
        steps in prop::collection::vec((step(), passes()), 1..90),
        moves in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        chunk in 1usize..4000,
    ) {
        let (first, log) = record(&steps);
        let clients = Commands::default();
        let moves: Vec<usize> = moves.iter().map(|index| index.index(log.len())).collect();
        let empty = || Queue::new(Duration::ZERO, 1);
        let (mut second, mut third) = (empty(), empty());
        let mut latest = Timestamp::default();
        for (index, Logged { bytes, stamp, answer }) in log.iter().enumerate() {
            let command = QueueCommand::decode(bytes).unwrap();
            prop_assert_eq!(&second.apply(&command, LIMITS, *stamp), answer);
            // Only the latest stamp counts.
            latest = latest.max(*stamp);
            prop_assert_eq!(&third.apply(&command, LIMITS, latest), answer);
            prop_assert_eq!(second.last(), latest);
            if moves.contains(&index) {
                third = moved(&third, chunk);
            }
            prop_assert_eq!(moved(&second, chunk).digest(), third.digest());
        }
        prop_assert_eq!(first.digest(), third.digest());
        prop_assert_eq!(readable(&first, &clients), readable(&third, &clients));
        prop_assert_eq!(
            first.events(EventSeq::START, 999), second.events(EventSeq::START, 999)
        );
    }

    /// So that the digest of a log's replica may cost nothing.
    #[test]
    fn a_tracked_digest_is_that_of_the_whole_state(
        steps in prop::collection::vec((step(), -20i64..90), 1..120),
    ) {
        let (_, log) = record(&steps);
        let new = || Queue::new(Duration::ZERO, 1);
        let (mut tracking, mut other) = (new(), new());
        tracking.track_digest();
        for Logged { bytes, stamp, .. } in &log {
            let command = QueueCommand::decode(bytes).unwrap();
            tracking.apply(&command, LIMITS, *stamp);
            other.apply(&command, LIMITS, *stamp);
            prop_assert_eq!(tracking.digest(), other.digest(), "after {:?}", command);
        }
    }

    /// So that a store need not make such a claim a command.
    #[test]
    fn an_idle_claim_is_what_a_claim_answers_that_finds_nothing(
        steps in prop::collection::vec((step(), 0i64..90), 1..120),
    ) {
        let (mut queue, mut commands) = (Queue::new(Duration::ZERO, 1), Commands::default());
        let mut stamp = START;
        for (step, passes) in &steps {
            stamp = Timestamp(stamp.0 + *passes as u64);
            let command = commands.next(step, &queue);
            queue.begin(LIMITS, stamp);
            let before = queue.latest_event();
            let idle = match command {
                QueueCommand::Claim { max, scope, .. } => queue.idle_claim(max, scope, stamp),
                _ => None,
            };
            let answer = queue.apply(&command, LIMITS, stamp);
            match (&command, idle) {
                (_, Some(idle)) => prop_assert_eq!(&QueueAnswer::Claimed(idle), &answer),
                // It did something: it gave tasks, or it parked or ended bookings.
                (QueueCommand::Claim { max, .. }, None) => {
                    prop_assert!(*max == 0 || queue.latest_event() > before);
                }
                _ => {}
            }
            commands.learn(&answer);
        }
    }

    #[test]
    fn reads_change_nothing(steps in prop::collection::vec((step(), 0i64..90), 1..60)) {
        let (queue, _) = record(&steps);
        let before = queue.digest();
        readable(&queue, &Commands::default());
        // Long after every retention, lease and hold has ended.
        queue.snapshot(queue.last() + Duration::from_secs(1_000_000));
        prop_assert_eq!(queue.digest(), before);
    }

    #[test]
    fn a_command_is_read_back_as_it_was(steps in prop::collection::vec((step(), 0i64..90), 1..60)) {
        let queue = Queue::new(Duration::ZERO, 1);
        let mut commands = Commands::default();
        for (step, _) in &steps {
            let command = commands.next(step, &queue);
            prop_assert_eq!(QueueCommand::decode(&command.encode()).unwrap(), command);
        }
    }
}
