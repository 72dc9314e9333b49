//! Simulated Booking Service, Ticket Service and Realtime Service, which bookingq calls.
//!
//! ```text
//!   simulator        all of them, with one HTTP port to inspect them and to inject faults
//!     |- booking          BookingService on the stock of each item (ledger: its rules)
//!     |- ticket_service   TicketService on the same stock
//!     |- realtime         RealtimeService that records the updates of each client (deliveries)
//!     |- admin            the HTTP port
//!     '- checkout         pages of a seller that accept passes and report payments
//!   spec             `simulate://booking?stock=5000&errors=5%` as a value     share: "5%"
//!   fault_injector   latency, errors, lost replies and pauses of one service
//!   inspect          the ledger of a simulator in another process
//! ```
//!
//! The ledger is deliberately correct: if it sells or loses anything twice, bookingq is at fault.
//! It says "sold out" although tickets are left only if its settings ask for such lies.

mod admin;
pub mod booking;
pub mod checkout;
pub mod deliveries;
pub mod fault_injector;
pub mod inspect;
pub mod ledger;
pub mod realtime;
mod server;
pub mod share;
pub mod simulator;
pub mod spec;
pub mod ticket_service;

pub use crate::booking::BookingSim;
pub use crate::checkout::CheckoutConfig;
pub use crate::realtime::RealtimeSim;
pub use crate::server::{ServiceSim, SimError};
pub use crate::simulator::{Simulator, SimulatorConfig};
pub use crate::spec::SimSpec;
pub use crate::ticket_service::TicketServiceSim;
