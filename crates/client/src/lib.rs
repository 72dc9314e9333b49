//! Calls workers: endpoints, channel pool, and the one rule of what may be retried.
