//! What must hold for every input that a stranger can send. Each door has one function of bytes,
//! which tells whether they were taken and panics when its promise is broken: tests/replay.rs gives
//! it seeds and changed seeds in every test run, tests/fuzz what libFuzzer finds.
//!
//! | target | bytes | promise |
//! |---|---|---|
//! | `enqueue` | messages of `BookingWorkerService` | taken as sent, or refused by a reason and field, in a short answer |
//! | `queue` | YAML of a `BookingQueue` | objects that Kubernetes can name, or problems that name their fields |
//! | `booking` | a booking's text in Redis | understood, or an error for this booking only |
//! | `history` | a kept history | a verdict, or the line that is wrong |
//! | `arguments` | a command line | a command, or how it is meant |

mod arguments;
mod booking;
mod enqueue;
mod history;
mod queue;

pub use arguments::arguments;
pub use booking::booking;
pub use enqueue::enqueue;
pub use history::history;
pub use queue::queue;

/// A target; tells whether the input was taken.
pub type Target = fn(&[u8]) -> bool;

/// All of them, by the names of their seeds' folders.
pub const TARGETS: [(&str, Target); 5] = [
    ("arguments", arguments),
    ("booking", booking),
    ("enqueue", enqueue),
    ("history", history),
    ("queue", queue),
];
