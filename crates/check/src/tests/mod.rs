//! Histories made by hand, clean and broken.

mod calls;
mod log;
mod world;
