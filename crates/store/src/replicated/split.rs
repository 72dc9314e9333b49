//! Commands that are too large for one envelope.

use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_queue::{QueueAnswer, QueueCommand};

use super::envelope::MAX_ENVELOPE_BYTES;

/// The command as commands that each fit an envelope and hold at most [`MAX_STORE_BATCH`] requests.
pub(super) fn split(command: QueueCommand) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = vec![command];
    while let Some(command) = rest.pop() {
        let requests = requests(&command);
        let first = if requests > MAX_STORE_BATCH {
            MAX_STORE_BATCH
        } else {
            let bytes = command.encode();
            if requests < 2 || bytes.len() <= MAX_ENVELOPE_BYTES {
                pieces.push(bytes);
                continue;
            }
            requests / 2
        };
        let (first, second) = halve(command, first);
        rest.extend([second, first]);
    }
    pieces
}

/// Number of requests in a batch; 1 for a command that has none.
fn requests(command: &QueueCommand) -> usize {
    use QueueCommand as C;
    match command {
        C::Enqueue(batch) => batch.len(),
        C::Renew { batch, .. } => batch.len(),
        C::Settle(batch) => batch.len(),
        C::Confirm { batch, .. } => batch.len(),
        C::Cancel(batch) => batch.len(),
        _ => 1,
    }
}

/// The first `first` requests of a batch, and the others.
fn halve(mut command: QueueCommand, first: usize) -> (QueueCommand, QueueCommand) {
    use QueueCommand as C;
    let second = match &mut command {
        C::Enqueue(batch) => C::Enqueue(batch.split_off(first)),
        C::Renew { batch, lease } => C::Renew { batch: batch.split_off(first), lease: *lease },
        C::Settle(batch) => C::Settle(batch.split_off(first)),
        C::Confirm { batch, lease } => C::Confirm { batch: batch.split_off(first), lease: *lease },
        C::Cancel(batch) => C::Cancel(batch.split_off(first)),
        other => unreachable!("{other:?} has no batch"),
    };
    (command, second)
}

/// Adds the answer to a later piece of a command. Gives it back if it is of another kind.
pub(super) fn join(answer: &mut QueueAnswer, later: QueueAnswer) -> Result<(), QueueAnswer> {
    use QueueAnswer as A;
    match (answer, later) {
        (A::Enqueued(all), A::Enqueued(more)) => all.extend(more),
        (A::Renewed(all), A::Renewed(more)) => all.extend(more),
        (A::Settled(all), A::Settled(more)) => all.extend(more),
        (A::Confirmed(all), A::Confirmed(more)) => all.extend(more),
        (A::Cancelled(all), A::Cancelled(more)) => all.extend(more),
        (_, later) => return Err(later),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bookingq_core::{BookingId, ClientId, Details, RequestId};
    use bookingq_queue::Enqueue;

    use super::*;

    #[test]
    fn a_batch_keeps_its_order_and_each_piece_fits() {
        let payload = vec![7; 4096];
        let join = |n: u32| Enqueue {
            client: ClientId::new(&format!("c{n}")).unwrap(),
            request: RequestId::new("r").unwrap(),
            booking: BookingId::from_u128(n.into()),
            details: Details::new("stalls", 1, &payload).unwrap(),
            trace: None,
        };
        let batch: Vec<Enqueue> = (0..1000).map(join).collect();
        let pieces = split(QueueCommand::Enqueue(batch.clone()));
        let mut found = Vec::new();
        for piece in &pieces {
            assert!(piece.len() <= MAX_ENVELOPE_BYTES, "{} bytes", piece.len());
            let QueueCommand::Enqueue(part) = QueueCommand::decode(piece).unwrap() else {
                panic!("another command");
            };
            assert!(part.len() <= MAX_STORE_BATCH);
            found.extend(part);
        }
        assert_eq!(found, batch);
        assert_eq!(split(QueueCommand::Enqueue(Vec::new())).len(), 1);
    }
}
