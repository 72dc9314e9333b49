//! Every default of a queue and its processes, in one place: the resource, the command line and
//! the configurations read them here.

use std::time::Duration;

use crate::backoff::{Backoff, RetryPolicy};

/// Time to pay for a reservation.
pub const HOLD: Duration = Duration::from_secs(300);
/// Time for which a decided booking can still be looked up.
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Tasks one worker runs at once.
pub const CONCURRENCY: u32 = 32;
/// Time after which another worker may claim the task of a silent one.
pub const LEASE: Duration = Duration::from_secs(10);
/// Time a worker has to shut down after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(25);
/// Part of it during which the port still accepts connections, because endpoints lag.
pub const LINGER: Duration = Duration::from_secs(2);
/// Time a sweeper has to finish its tasks once the sweep is over.
pub const SWEEP_GRACE: Duration = Duration::from_secs(10);
/// When a sweeper starts, as five cron fields.
pub const SWEEP_SCHEDULE: &str = "* * * * *";
/// Deadline of one call to a service.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// Retries of calls to the Booking Service.
pub const RETRY: RetryPolicy = RetryPolicy {
    attempts: 5,
    backoff: Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(10) },
};

/// Address of Redis on a developer's computer.
pub const REDIS_URL: &str = "redis://127.0.0.1:6379";
/// Deadline of one Redis call.
pub const REDIS_DEADLINE: Duration = Duration::from_secs(2);
/// Outbox entries kept, approximately.
pub const OUTBOX_ENTRIES: u32 = 30_000;

/// Requests in progress on one worker.
pub const MAX_REQUESTS: u32 = 4096;
/// Open WatchStatus streams on one worker.
pub const MAX_WATCHES: u32 = 200_000;
/// Age after which a worker asks a connection to move.
pub const MAX_CONNECTION_AGE: Duration = Duration::from_secs(300);

/// Connections open at once on one gateway.
pub const GATEWAY_CONNECTIONS: u32 = 100_000;
/// Time in which a gateway closes its WebSockets and event streams after SIGTERM.
pub const GATEWAY_DRAIN: Duration = Duration::from_secs(60);
/// Time for which a place token is valid; it is renewed while its client is seen.
pub const PLACE_TOKEN: Duration = Duration::from_secs(7 * 24 * 3600);
