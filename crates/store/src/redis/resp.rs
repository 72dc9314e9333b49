//! Commands as Redis reads them, from a connection or from its log.

use std::fmt::Write as _;

use bookingq_core::QueueName;

use super::keys::Keys;

/// A command.
pub(crate) fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        // Writing to a String does not fail.
        write!(text, "${}\r\n{word}\r\n", word.len()).ok();
    }
    text
}

/// The end of a log: it gives data of database 0 that was set back its new epoch.
pub(crate) fn new_epoch(queue: &QueueName, epoch: &str) -> String {
    let Keys { meta, .. } = Keys::of(queue);
    command(&["SELECT", "0"]) + &command(&["HSET", &meta, "epoch", epoch])
}
