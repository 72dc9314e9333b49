//! Simulated services: the Booking, Ticket and Realtime Services that bookingq calls.
//!
//! ```text
//!   simulator   all simulated services together, with one HTTP port to inspect them and to inject faults
//!     |- booking    BookingService on a stock and a ledger   (ledger: the rules alone, without a network)
//!     |- ticket     TicketService on the same stock
//!     |- realtime   RealtimeService that records what each client was sent   (told: the record alone)
//!     '- admin      the HTTP port
//!   spec        `simulate://booking?stock=5000&errors=5%` as a value      share: "5%" as a value
//!   conduct     how a service treats its callers just now: slow, failing, losing replies, paused
//!   inspect     the ledger of a simulator that runs elsewhere
//! ```
//!
//! The ledger is deliberately correct: whatever is sold twice or lost with it is bookingq's fault.

mod admin;
pub mod booking;
pub mod conduct;
pub mod inspect;
pub mod ledger;
pub mod realtime;
mod server;
pub mod share;
pub mod simulator;
pub mod spec;
pub mod ticket;
pub mod told;

pub use crate::booking::BookingSim;
pub use crate::realtime::RealtimeSim;
pub use crate::server::SimError;
pub use crate::simulator::{Simulator, SimulatorConfig};
pub use crate::spec::SimSpec;
pub use crate::ticket::TicketSim;
