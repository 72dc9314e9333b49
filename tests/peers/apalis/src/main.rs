//! Driver of apalis-redis for `cargo xtask bench peers`.

mod flags;
mod load;
mod v07;
mod v10;

use anyhow::Result;
use clap::Parser as _;

use self::flags::{Api, Flags};

// One thread: the driver has one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    match flags.api {
        Api::V07 => load::run(&v07::QueueV07::connect(&flags).await?, &flags).await,
        Api::V10 => load::run(&v10::QueueV10::connect(&flags).await?, &flags).await,
    }
}
