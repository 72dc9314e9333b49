//! Bytes that are damaged, incomplete or of a newer release are refused as a whole.

use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, RequestId, Timestamp};
use bookingq_queue::{Enqueue, Queue, QueueCommand};

use crate::LIMITS;

fn join(client: u64) -> QueueCommand {
    QueueCommand::Enqueue(vec![Enqueue {
        client: ClientId::new(&format!("client {client}")).unwrap(),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::from_u128(client.into()),
        details: Details::default(),
        trace: None,
    }])
}

fn crowd(clients: u64) -> Queue {
    let mut queue = Queue::new(Duration::ZERO, 1);
    for client in 0..clients {
        queue.apply(&join(client), LIMITS, Timestamp(1_800_000_000_000));
    }
    queue
}

#[test]
fn chunks_stay_below_their_size_and_all_of_them_are_needed_once_and_in_order() {
    let queue = crowd(100);
    let chunks: Vec<Vec<u8>> = queue.encode(1000).collect();
    assert!(chunks.len() > 5, "{} chunks", chunks.len());
    // The frame of a part is at most 8 bytes, and no part is smaller than 20.
    assert!(chunks.iter().all(|chunk| chunk.len() <= 1400));
    for missing in 0..chunks.len() {
        let others = chunks.iter().enumerate().filter(|(index, _)| *index != missing);
        assert!(Queue::decode(others.map(|(_, chunk)| chunk)).is_err(), "without {missing}");
        let doubled = chunks[..=missing].iter().chain(&chunks[missing..]);
        assert!(Queue::decode(doubled).is_err(), "with {missing} doubled");
    }
    assert!(Queue::decode(chunks.iter().rev()).is_err());
    assert!(Queue::decode(Vec::<Vec<u8>>::new()).is_err());
    assert_eq!(Queue::decode(&chunks).unwrap().digest(), queue.digest());
}

/// A chunk of two parts, with the parts in the other order, and other ones that contradict
/// each other.
#[test]
fn a_state_that_contradicts_itself_is_refused() {
    let chunks: Vec<Vec<u8>> = crowd(3).encode(1).collect();
    assert_eq!(chunks.len(), 4, "the head and three bookings");
    let refused = |chunks: &[&Vec<u8>], because: &str| {
        let error = Queue::decode(chunks.iter().copied()).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    };
    refused(&[&chunks[0], &chunks[2], &chunks[1], &chunks[3]], "out of order");
    // A booking of a larger queue: its place was never given in this one.
    let larger: Vec<Vec<u8>> = crowd(9).encode(1).collect();
    refused(&[&chunks[0], &chunks[1], &chunks[2], &larger[9]], "has place 9");
    // A claimed booking, in the queue in which none was claimed.
    let mut queue = crowd(3);
    let claim = QueueCommand::Claim {
        max: 1,
        lease: Duration::from_secs(1),
        scope: bookingq_queue::Scope::Everything,
    };
    queue.apply(&claim, LIMITS, Timestamp(1_800_000_000_000));
    let claimed: Vec<Vec<u8>> = queue.encode(1).collect();
    let last = claimed.len() - 3;
    refused(&[&chunks[0], &claimed[last], &chunks[2], &chunks[3]], "fence 1");
    // Its item counts one more than there are.
    let head_and_item = &claimed[..last];
    assert_eq!(head_and_item.len(), 2);
    refused(&[&claimed[0], &claimed[1], &chunks[1], &chunks[2], &chunks[3]], "an item counts");
}

#[test]
fn an_error_shows_only_the_beginning_of_what_is_unknown() {
    let word = "x".repeat(500);
    let mut bytes = vec![0x42, 0xf4, 0x03];
    bytes.extend_from_slice(word.as_bytes());
    let error = QueueCommand::decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("xxx…") && error.len() < 150, "{error}");
}

#[test]
fn what_this_release_does_not_know_is_not_skipped() {
    // Field 99 of the outer message, and field 15 inside the change that the command holds.
    let bytes = QueueCommand::Sweep { limit: 9 }.encode();
    let unknown_field = [&bytes[..], &[0x98, 0x06, 0x01]].concat();
    let error = QueueCommand::decode(&unknown_field).unwrap_err().to_string();
    assert!(error.contains("does not know"), "{error}");
    let unknown_change = [0x72, 0x00];
    QueueCommand::decode(&unknown_change).unwrap_err();
    // A claim of a scope that is none.
    let unknown_scope = [0x12, 0x02, 0x18, 0x09];
    let error = QueueCommand::decode(&unknown_scope).unwrap_err().to_string();
    assert!(error.contains("scope"), "{error}");
    QueueCommand::decode(&[]).unwrap_err();
}

#[test]
fn states_that_differ_in_one_setting_have_other_digests() {
    let mut digests = vec![crowd(0).digest(), crowd(1).digest(), crowd(2).digest()];
    let mut queue = crowd(2);
    for command in [
        QueueCommand::SetAdmission(bookingq_core::Admission::Paused),
        QueueCommand::Sweep { limit: 1 },
        QueueCommand::Notifier { owner: "w".to_owned(), lease: Duration::ZERO, done: None },
    ] {
        queue.apply(&command, LIMITS, Timestamp(1_800_000_000_000));
        digests.push(queue.digest());
    }
    queue.apply(&QueueCommand::Sweep { limit: 1 }, LIMITS, Timestamp(1_800_000_000_001));
    digests.push(queue.digest());
    let distinct: std::collections::HashSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len());
}
