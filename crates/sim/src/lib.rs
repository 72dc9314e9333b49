//! The world around bookingq, simulated: the services it calls, the people who come, and the judge
//! of what happened.
//!
//! ```text
//!   simulator   all simulated services together, with one HTTP port to look in and to make trouble
//!     |- booking    BookingService on a stock and a ledger   (ledger: the rules alone, without a network)
//!     |- ticket     TicketService on the same stock
//!     |- realtime   RealtimeService that records who was told what   (told: the record alone)
//!     '- admin      the HTTP port
//!   spec        `simulate://booking?stock=5000&errors=5%` as a value      share: "5%" as a value
//!   conduct     how a service treats its callers just now: slow, failing, losing replies, paused
//!   crowd       many clients through the real gRPC door
//!   history     the checker: audit log + acknowledgements + ledger + final bookings -> violations
//!   inspect     the ledger of a simulator that runs elsewhere
//!   latency     one kind of histogram for all of them
//! ```
//!
//! The ledger is deliberately correct: with it, whatever is sold twice or lost is bookingq's doing.

mod admin;
pub mod booking;
pub mod conduct;
pub mod crowd;
pub mod history;
pub mod inspect;
pub mod latency;
pub mod ledger;
pub mod realtime;
mod server;
pub mod share;
pub mod simulator;
pub mod spec;
pub mod ticket;
pub mod told;

pub use crate::booking::BookingSim;
pub use crate::crowd::{Crowd, CrowdConfig, CrowdReport};
pub use crate::history::{Evidence, History, Moment, Verdict, Violation};
pub use crate::realtime::RealtimeSim;
pub use crate::server::SimError;
pub use crate::simulator::{Simulator, SimulatorConfig};
pub use crate::spec::SimSpec;
pub use crate::ticket::TicketSim;
