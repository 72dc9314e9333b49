//! A store that is a replicated state machine on a log of commands.
//!
//! ```text
//!   calls --> sender: one envelope in flight --> CommandLog (append)
//!     ^                                              | (tail)
//!     '---- answers to own envelopes <-- Replica <- reader
//!                                           ^
//!   snapshot: the sweeper's job --> log of snapshots (load)
//! ```
//!
//! Every process applies the whole log to the engine of `bookingq-queue`, and answers its callers
//! when it reads its own envelope back:
//!
//! - B1: the state is a function of the log's beginning. Time is the log's stamps, never a clock of
//!   this machine.
//! - B2: a caller is answered only from its own envelope as read back. What the log says to an
//!   append is a hint.
//! - B3: an envelope, named by (incarnation, number), takes effect once, however often it is in the
//!   log. It is sent again unchanged until it is read back, and only then the next one is sent.
//! - B4: time never goes back: it stands still while the log's clock is behind, and leases and
//!   holds with it.
//! - B5: a log is trimmed only below a snapshot that was written and read back whole; `snapshot`
//!   says how.
//! - B6: what is not understood stops the replica and is never skipped.
//!
//! A read, unless it waits for events, first reads back an envelope that was sent after the read
//! began: the newest state that this process knows may be old, and the end of the log as one server
//! knows it may be too. A claim first looks at the state that this process knows, and sends nothing
//! if it would find nothing there: the worker asks again. If it sends, what it finds is decided
//! when it is read back.
//!
//! A replica begins with the newest whole snapshot, and begins again with one when the log does not
//! go on from what it has read: it was trimmed beyond, it has lost records, or it is another log.
//! The epoch of the data is the log's id and how often a process has said in it that records were
//! lost, so that all have the same one. A loss that no process has seen is not noticed.
//!
//! This is the part that is common to all logs; `kafka` is the one log in use.

mod config;
mod dispute;
mod driver;
mod envelope;
mod kafka;
mod load;
mod log;
mod part;
mod reader;
mod replica;
mod sender;
mod snapshot;
mod split;
mod store;

pub use self::config::ReplicatedConfig;
pub use self::envelope::{KNOWN_RULES, MAX_RECORD_BYTES};
#[cfg(feature = "kafka")]
pub use self::kafka::KafkaLog;
pub(crate) use self::kafka::open as open_kafka;
pub use self::kafka::{
    KafkaAddress, KafkaConfig, KafkaLogin, KafkaReadings, KafkaSecurity, KafkaSettings, KafkaTls,
    LogPlacement, check_built, create_topics, ensure_topics, log_placement, open_commands,
};
pub use self::log::{
    CommandLog, LogBounds, LogCursor, LogError, LogPair, LogPosition, LogRecord, ReadingSink,
};
pub use self::replica::{Replica, ReplicaSettings, ReplicaStopped};
pub use self::snapshot::{SnapshotFailed, SnapshotReport, take_snapshot};
pub use self::store::ReplicatedStore;
