//! `bookingq probe`: requests a page of an admin port, for health checks in images without curl.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bookingq_api::DurationString;
use bookingq_core::Invalid;
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Uri;

use crate::failure::Failure;

/// Limit of one try.
const DEADLINE: Duration = Duration::from_secs(2);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(2) };
/// More than the bytes of a status line.
const STATUS_LINE: u64 = 64;

/// Check the health of a process: exit with 0 if its admin port answers 200
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq probe http://127.0.0.1:9090/readyz
  bookingq probe --within 60s http://bookingq-operator-metrics.bookingq-system.svc:9090/readyz

For health checks of containers: the image has no shell and no curl.")]
pub struct Args {
    /// Page to request: http://HOST[:PORT][/PATH]
    #[arg(value_name = "URL", value_parser = page)]
    url: Uri,
    /// Retry for this long; 0s tries once
    #[arg(long, env = "BOOKINGQ_PROBE_WITHIN", value_name = "TIME", default_value = "0s")]
    within: DurationString,
}

fn page(text: &str) -> Result<Uri, Invalid> {
    let uri = text
        .parse()
        .ok()
        .filter(|uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    uri.ok_or_else(|| Invalid::new("URL", text, "http://HOST[:PORT][/PATH]"))
}

/// Requests the page until it answers 200.
pub async fn run(args: Args) -> Result<(), Failure> {
    let request = async || match tokio::time::timeout(DEADLINE, request(&args.url)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow::anyhow!("no answer within {DEADLINE:?}")),
    };
    let outcome = Retry::within(BACKOFF, args.within.get()).run(|_| true, request).await;
    Ok(outcome.with_context(|| args.url.to_string())?)
}

async fn request(url: &Uri) -> Result<()> {
    let host = url.host().context("no host")?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    // An IPv6 address has brackets in a URL only.
    let address =
        (host.trim_start_matches('[').trim_end_matches(']'), url.port_u16().unwrap_or(80));
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("cannot send the request")?;
    let mut answer = Vec::new();
    stream.take(STATUS_LINE).read_to_end(&mut answer).await.context("cannot read the answer")?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("answered {status:?}, not 200");
    }
    Ok(())
}
