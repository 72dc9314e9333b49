//! The pure queue engine: commands and a time in, outcomes and events out.
