//! The load generator: simulated clients that join, wait, pay, leave and retry.
