//! Fuzz targets: one function of bytes for each input that comes from outside. A target returns
//! whether the input is valid, and panics when it breaks its promise. `tests/replay.rs` runs them
//! with seeds and mutated seeds in every test run, `tests/fuzz` with the inputs of libFuzzer.
//!
//! | target | input | promise |
//! |---|---|---|
//! | `enqueue` | messages to the worker | parsed as sent, or a short error with its field |
//! | `queue` | YAML of a `BookingQueue` | valid objects, or problems with their fields |
//! | `booking` | a booking's text in Redis | parsed, or an error for this booking only |
//! | `events` | the events of an outbox entry in Redis | parsed, or an error for a log |
//! | `history` | a recorded history | verified, or the number of the wrong line |
//! | `arguments` | a command line | parsed, or a usage error |

mod arguments;
mod booking;
mod enqueue;
mod events;
mod history;
mod queue;

pub use arguments::arguments;
pub use booking::booking;
pub use enqueue::enqueue;
pub use events::events;
pub use history::history;
pub use queue::queue;

/// A target: returns whether the input is valid.
pub type FuzzTarget = fn(&[u8]) -> bool;

/// All targets, by the names of their seed folders.
pub const TARGETS: [(&str, FuzzTarget); 6] = [
    ("arguments", arguments),
    ("booking", booking),
    ("enqueue", enqueue),
    ("events", events),
    ("history", history),
    ("queue", queue),
];
