//! Follows the outbox: exact positions, the pace of the line, and the subscribers of one process.
