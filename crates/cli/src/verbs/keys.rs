//! `bookingq keys`: makes the keys of a gateway, and prints what others need of them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bookingq_core::{Timestamp, time};
use bookingq_identity::{KeyPurpose, KeyRing, new_key_file};
use clap::{Subcommand, ValueEnum};

use crate::failure::Failure;

/// Make the keys of a gateway, and print their public halves
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq keys new --purpose place --out keys/place-1.json
  bookingq keys new --purpose pass --out keys/pass-1.json
  bookingq keys jwks --keys keys
  kubectl create secret generic concert-keys --from-file=keys

To rotate a key, add a new file beside the old one and remove the old one later: at the earliest
10 minutes after the new one, plus the longest life of its tokens (--place-lifetime of the gateway
for place keys, 5 minutes for all others). Gateways read the folder again by themselves.")]
pub struct Args {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    New(NewKeyArgs),
    Jwks(JwksArgs),
}

/// Make a key
///
/// place: gateways sign the tokens that clients keep. pass: gateways sign what clients carry to the
/// seller. enqueue, backend: a secret that the seller signs with, and the gateway verifies. For a
/// key pair of the seller, write the file by hand, with its publicKey (docs/gateway.md).
#[derive(Debug, clap::Args)]
struct NewKeyArgs {
    /// What the key is for
    #[arg(long, env = "BOOKINGQ_KEY_PURPOSE", value_enum)]
    purpose: PurposeName,
    /// File to write, readable by its owner only; an existing one is kept [default: standard
    /// output]
    #[arg(long, env = "BOOKINGQ_KEY_OUT", value_name = "FILE")]
    out: Option<PathBuf>,
    /// ID of the key, which its tokens name [default: the purpose and random characters]
    #[arg(long, env = "BOOKINGQ_KEY_ID", value_name = "NAME")]
    kid: Option<String>,
}

/// Print the public halves of the pass keys, as the gateway serves them at /.well-known/jwks.json
#[derive(Debug, clap::Args)]
struct JwksArgs {
    /// Folder with the keys
    #[arg(long, env = "BOOKINGQ_KEYS", value_name = "FOLDER")]
    keys: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PurposeName {
    Place,
    Pass,
    Enqueue,
    Backend,
}

impl From<PurposeName> for KeyPurpose {
    fn from(name: PurposeName) -> Self {
        match name {
            PurposeName::Place => Self::Place,
            PurposeName::Pass => Self::Pass,
            PurposeName::Enqueue => Self::Enqueue,
            PurposeName::Backend => Self::Backend,
        }
    }
}

/// Makes or prints.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        KeysCommand::New(args) => {
            let text = new_key_file(args.purpose.into(), args.kid.as_deref(), Some(now()?));
            let text = text.map_err(Failure::usage)?;
            match args.out {
                Some(path) => write_secret(&path, &text)?,
                None => std::io::stdout().write_all(text.as_bytes())?,
            }
        }
        KeysCommand::Jwks(args) => println!("{}", KeyRing::load(&args.keys)?.jwks()),
    }
    Ok(())
}

fn now() -> Result<Timestamp, Failure> {
    Ok(Timestamp(time::millis(SystemTime::now().duration_since(UNIX_EPOCH)?)))
}

/// A key that is overwritten is lost, and with it every place that it signed.
fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
