//! How long things are valid, in one place.

use std::time::Duration;

/// How far the clock of another machine may be off before its token counts as expired or from the
/// future.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(30);

/// The longest life of a token that a seller signs, without [`CLOCK_LEEWAY`].
pub const FOREIGN_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The longest life of a pass. It ends earlier at the deadline of the reservation.
pub const PASS_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long others may keep the JWKS.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(5 * 60);
