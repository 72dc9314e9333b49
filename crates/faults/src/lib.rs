//! What clients asked and were told, as lines of a history, and whether they contradict each other:
//! for the fault runs, and for histories that were kept.

pub mod check;
pub mod record;
