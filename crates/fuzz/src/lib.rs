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
//! | `envelope` | a record of a log of commands | takes effect once, or not at all |
//! | `snapshot` | a chunk of a snapshot of a queue | read, and written as it was, or refused |
//! | `history` | a recorded history | verified, or the number of the wrong line |
//! | `arguments` | a command line | parsed, or a usage error |
//! | `socket` | a message of a WebSocket | a ping gets its own number, all else is ignored |
//! | `page_query` | the query of the page | links and redirects repeat what was asked, safely |
//! | `headers` | Idempotency-Key, Origin, traceparent | no foreign page acts; a trace is one |
//! | `token` | a token of a client, seller or backend | read as signed, or a short error |
//! | `return_url` | a return URL | kept to the byte, and a browser stays on a listed origin |
//! | `forwarded` | X-Forwarded-For | only trusted proxies decide whose address it is |

mod arguments;
mod booking;
mod enqueue;
mod envelope;
mod events;
mod forwarded;
mod headers;
mod history;
mod page_query;
mod queue;
mod return_url;
mod snapshot;
mod socket;
mod token;

pub use arguments::arguments;
pub use booking::booking;
pub use enqueue::enqueue;
pub use envelope::envelope;
pub use events::events;
pub use forwarded::forwarded;
pub use headers::headers;
pub use history::history;
pub use page_query::page_query;
pub use queue::queue;
pub use return_url::return_url;
pub use snapshot::snapshot;
pub use socket::socket;
pub use token::token;

/// A target: returns whether the input is valid.
pub type FuzzTarget = fn(&[u8]) -> bool;

/// All targets, by the names of their seed folders.
pub const TARGETS: [(&str, FuzzTarget); 14] = [
    ("arguments", arguments),
    ("booking", booking),
    ("enqueue", enqueue),
    ("envelope", envelope),
    ("events", events),
    ("forwarded", forwarded),
    ("headers", headers),
    ("history", history),
    ("page_query", page_query),
    ("queue", queue),
    ("return_url", return_url),
    ("snapshot", snapshot),
    ("socket", socket),
    ("token", token),
];
