//! Injects faults into a running bookingq and checks every invariant.
//!
//! ```text
//!   plan (kinds, layout; seed -> faults with their targets and times: pure)
//!   sale (seed -> items, stock, rules)
//!   run ──┬─ servers    redis-server: one, or several that fail over; or brokers of Kafka
//!         ├─ testbed    workers, sweeper, gateways, Booking Service, proxies,
//!         │             clocks, releases (another one is rolled out and back)
//!         ├─ clients    two crowds, to workers and through gateways (WebSockets);
//!         │             their calls with answers and times (history.jsonl) ───────┐
//!         '─ bookingq-check: calls, audit log (audit.jsonl), store and ledger  <──────┘ ──> report
//! ```

mod clients;
mod clocks;
pub mod failovers;
mod gateways;
pub mod kinds;
pub mod layout;
pub mod plan;
pub mod proxy;
mod redis_fault;
pub mod releases;
pub mod report;
pub mod run;
pub mod sale;
mod servers;
pub mod testbed;
