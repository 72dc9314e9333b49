//! What the main parts leave out: connections of other kinds, idle, and clients that read nothing
//! beside clients that do.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bookingq_harness::port::free_address;
use tokio::time::{interval, sleep};

use super::clients::{self, ClientsOrder, ClientsPlan, ClientsReport};
use super::line::MovingLine;
use super::link::LinkKind;
use super::parts::{KINDS, OURS, SETTLE, UNREAD};
use super::serve::{self, ServePlan};
use crate::child::ReportingChild;
use crate::figures::Figures;

/// Connections of each kind.
const IDLE: u64 = 5_000;
/// Clients that read, and as many that do not.
const READERS: u64 = 2_000;
/// The readers that leave the line each second: their news are measured.
const PACE: u64 = 30;
/// Between two changes for all clients. No multiple of the line's step: changes and news meet as
/// often in one part as in the other.
const CHANGE: Duration = Duration::from_millis(97);
/// Longest time until the gateway has cut all clients that read nothing: its buffers in the kernel
/// are filled first.
const CUT: Duration = Duration::from_secs(180);

/// A gateway of its own.
async fn gateway(
    line: &MovingLine,
    folder: &Path,
    tls: bool,
) -> Result<(SocketAddr, ReportingChild)> {
    let address = free_address()?;
    let plan = ServePlan { worker: line.address(), folder, drain: 1, tls };
    let gateway = serve::start(address, Some(plan)).await?;
    sleep(Duration::from_secs(2)).await;
    Ok((address, gateway))
}

/// Memory of idle connections of each kind.
pub(super) async fn kinds(folder: &Path, figures: &mut Figures) -> Result<()> {
    for (kind, name) in [
        (LinkKind::Websocket, "WebSocket"),
        (LinkKind::Events, "event stream"),
        (LinkKind::WebsocketTls, "WebSocket over TLS"),
        (LinkKind::EventsTls, "event stream over TLS"),
    ] {
        eprintln!("{IDLE} of the kind {name}");
        let line = MovingLine::start(IDLE)?;
        let (address, gateway) = gateway(&line, folder, kind.is_tls()).await?;
        let before = gateway.usage()?.rss_mib;
        let plan = ClientsPlan { kind, ..ClientsPlan::new(address, 1, IDLE, Some(folder)) };
        let (clients, _) = clients::start(&plan).await?;
        sleep(SETTLE).await;
        let each = (gateway.usage()?.rss_mib - before) * 1024.0 / IDLE as f64;
        figures.record(KINDS, name, [("KiB each", each)]);
        clients.end().await?;
        gateway.end().await?;
    }
    Ok(())
}

/// Clients that read, alone and beside as many that do not.
pub(super) async fn unread(folder: &Path, time: Duration, figures: &mut Figures) -> Result<()> {
    for (kind, name) in [(LinkKind::Websocket, "WebSockets"), (LinkKind::Events, "event streams")] {
        eprintln!("{READERS} {name} that read nothing");
        let line = MovingLine::start(10 * READERS)?;
        let (address, gateway) = gateway(&line, folder, false).await?;
        let plan = ClientsPlan::new(address, 1, READERS, Some(folder));
        let (mut readers, _) = clients::start(&plan).await?;
        line.set_pace(PACE);
        let alone = watched(&line, &mut readers, time).await?;
        let before = gateway.usage()?;
        let plan = ClientsPlan { kind, unread: true, ..plan };
        let (silent, _) = clients::start(&plan).await?;
        let opened = Instant::now();
        let beside = watched(&line, &mut readers, time).await?;
        while gateway.usage()?.files > before.files {
            ensure!(opened.elapsed() < CUT, "{name} that read nothing stay open for {CUT:?}");
            watched(&line, &mut readers, Duration::from_secs(1)).await?;
        }
        let columns = [
            ("MiB at most for them", gateway.usage()?.peak_mib - before.rss_mib),
            ("s until all are cut", opened.elapsed().as_secs_f64()),
            ("news p99 ms of others before", alone.news.p99),
            ("news p99 ms beside them", beside.news.p99),
        ];
        figures.record(UNREAD, &format!("{OURS}, {READERS} {name}"), columns);
        for clients in [readers, silent] {
            clients.end().await?;
        }
        gateway.end().await?;
    }
    Ok(())
}

/// What the clients see while the item changes again and again.
async fn watched(
    line: &MovingLine,
    clients: &mut ReportingChild,
    time: Duration,
) -> Result<ClientsReport> {
    clients.order(&ClientsOrder::Reset { left: line.left(), still: false }).await?;
    let mut changes = interval(CHANGE);
    for change in 0..time.as_millis() / CHANGE.as_millis() {
        changes.tick().await;
        line.change_item(change % 2 == 0);
    }
    clients.order(&ClientsOrder::Report).await?;
    clients.report().await
}
