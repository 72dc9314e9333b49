//! The parts of a run, as its report names them.

use std::time::Duration;

pub(super) const IDLE: &str = "Idle WebSockets";
pub(super) const FANOUT: &str = "Ticks and news";
pub(super) const BURST: &str = "One change for all clients";
pub(super) const STORM: &str = "All gateways killed at once";
pub(super) const DRAIN: &str = "Drain";
pub(super) const KINDS: &str = "Other connections, idle";
pub(super) const UNREAD: &str = "Clients that read nothing";
/// In their order.
pub(super) const SECTIONS: [&str; 7] = [IDLE, KINDS, UNREAD, FANOUT, BURST, STORM, DRAIN];
pub(super) const OURS: &str = "gateway";
/// After connections were opened or closed, before memory is read.
pub(super) const SETTLE: Duration = Duration::from_secs(8);
