//! A store that is a replicated state machine on a log of commands.
//!
//! ```text
//!   calls --> driver: one envelope in flight --> CommandLog (append)
//!     ^                                              | (tail)
//!     '---- answers to own envelopes <-- Replica <---'
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
//! - B6: what is not understood stops the replica and is never skipped.
//!
//! A read, unless it waits for events, first reads back an envelope that was sent after the read
//! began: the newest state that this process knows may be old, and the end of the log as one server
//! knows it may be too.
//!
//! This is the part that is common to all logs; `kafka` is the one log in use. There are no
//! snapshots yet, though each queue has a second log for them: a log that was trimmed cannot be
//! opened.

mod driver;
mod envelope;
mod kafka;
mod log;
mod replica;
mod split;
mod store;

pub use self::envelope::{KNOWN_RULES, MAX_ENVELOPE_BYTES, MAX_RECORD_BYTES};
#[cfg(feature = "kafka")]
pub use self::kafka::KafkaLog;
pub(crate) use self::kafka::open as open_kafka;
pub use self::kafka::{KafkaAddress, KafkaConfig, create_topics};
pub use self::log::{CommandLog, LogBounds, LogCursor, LogError, LogPair, LogPosition, LogRecord};
pub use self::replica::{Replica, ReplicaStopped};
pub use self::store::{ReplicatedConfig, ReplicatedStore};
