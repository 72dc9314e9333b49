//! Open connections of gateways, read from their metrics.
//!
//! A gateway keeps nothing in the store, so the Pods themselves are the only source. They are read
//! at their addresses: the API server's proxy would carry every reading through the control plane,
//! and a metrics adapter is a part that few clusters have.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bookingq_core::autoscale::sockets::SocketReading;
use bookingq_serve::admin_client;
use futures::{StreamExt as _, stream};
use tracing::debug;

use crate::build::names;

/// Deadline of one gateway.
const DEADLINE: Duration = Duration::from_millis(900);
/// Gateways that are read at once.
const AT_ONCE: usize = 16;
/// Limit of the metrics of one gateway, which are some 20 kB.
const MAX_BODY: usize = 1 << 20;
/// The metric.
const METRIC: &str = "bookingqueue_gateway_connections";

/// Reads all gateways. `None` if there are some and none answers.
pub async fn read(gateways: Vec<IpAddr>) -> Option<SocketReading> {
    let all = gateways.len();
    let answers = stream::iter(gateways).map(read_one).buffer_unordered(AT_ONCE);
    let found: Vec<u64> = answers.filter_map(async |answer| answer).collect().await;
    if found.is_empty() && all > 0 {
        return None;
    }
    Some(SocketReading { sockets: found.iter().sum(), complete: found.len() == all })
}

async fn read_one(gateway: IpAddr) -> Option<u64> {
    let address = SocketAddr::new(gateway, names::ADMIN_PORT as u16);
    match admin_client::get(address, "/metrics", MAX_BODY, DEADLINE).await {
        Ok(text) => connections(&text),
        Err(error) => {
            debug!(%address, %error, "a gateway's metrics cannot be read");
            None
        }
    }
}

/// The sum over all series of the metric; `None` if the text has none.
pub fn connections(text: &str) -> Option<u64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(METRIC)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        let number: f64 = value.split_whitespace().next()?.parse().ok()?;
        (number >= 0.0).then_some(number as u64)
    });
    values.reduce(u64::saturating_add)
}
