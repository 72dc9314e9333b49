//! A record of a log of commands.

use std::sync::LazyLock;

use bookingq_core::Timestamp;
use bookingq_store::replicated::{
    KNOWN_RULES, LogPosition, LogRecord, Replica, ReplicaSettings, ReplicaStopped,
};

/// Applies a text of any origin as a record of the log.
///
/// # Panics
/// When a record that is not understood changes anything, one that is takes effect twice, or the
/// error is too long for a log.
pub fn envelope(data: &[u8]) -> bool {
    static EMPTY: LazyLock<String> = LazyLock::new(|| digest(&new_replica()));
    let mut replica = new_replica();
    let record = |offset| LogRecord {
        position: LogPosition { offset, term: 1 },
        stamp: Timestamp(1_800_000_000_000),
        bytes: data.to_vec(),
    };
    match replica.replay(&record(0)) {
        Ok(()) => {
            let once = digest(&replica);
            assert_eq!(replica.replay(&record(1)), Ok(()));
            assert_eq!(digest(&replica), once, "it took effect twice");
            true
        }
        Err(ReplicaStopped { why, .. }) => {
            assert!(why.len() < 1000, "{} bytes of error", why.len());
            assert_eq!(digest(&replica), *EMPTY, "a part of it took effect");
            false
        }
    }
}

fn new_replica() -> Replica {
    Replica::new(ReplicaSettings { known_rules: KNOWN_RULES, digest_every: 1000 })
}

fn digest(replica: &Replica) -> String {
    replica.digest().to_string()
}
