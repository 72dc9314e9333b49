//! Names of sections and rows that `compare` must know.

/// `engine`: a store without a worker.
pub const STORE: &str = "Whole life of a booking through a store";
/// `engine`: a yardstick.
pub const PLAIN: &str = "Plain Redis commands";
/// `engine`: the way into the line, and its yardstick.
pub const GRPC: &str = "Enqueue over gRPC";
/// `engine`: a worker.
pub const LIFE: &str = "Whole life over gRPC";
/// `engine`: some of its figures divided by their yardsticks.
pub const RATIO: &str = "Compared";
/// Row of [`GRPC`]: the yardstick.
pub const BARE: &str = "bare unary server";
/// `instructions`: of redis-server.
pub const COUNTED: &str = "Whole life of a booking";
/// `peers`: enqueue and drain at a fixed rate.
pub const OPEN: &str = "Open loop";
/// `peers`: our rates divided by the best peer's.
pub const BEST_PEER: &str = "Compared with the best peer of the same run";
/// `peers`: the start of our rows.
pub const OURS: &str = "bookingq";
