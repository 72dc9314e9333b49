//! Adds bookings and says how long it took.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use bookingq_store::Store;

use super::crowd::Door;
use super::{Args, say};

/// Adds them.
pub async fn run(store: Arc<dyn Store>, args: &Args) -> Result<()> {
    let door = Door::new(&store, args);
    door.enqueue_all(args.warm_up, args, Instant::now(), None).await?;
    let start = Instant::now();
    door.enqueue_all(args.jobs, args, start, None).await?;
    say(args.jobs, start.elapsed(), None);
    Ok(())
}
