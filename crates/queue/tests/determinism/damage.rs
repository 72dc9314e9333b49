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
fn each_part_of_a_state_counts_in_its_digest() {
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
