//! The simulated Booking Service, through the API server's proxy to its HTTP port.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, kubectl, replace_raw};

/// Path of one of its pages.
fn page(name: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/services/booking-service:http/proxy/{name}")
}

/// Changes its latency.
pub fn set_latency(latency: Duration) -> Result<()> {
    let faults = json!({ "latency": format!("{}ms", latency.as_millis()), "jitter": "0ms" });
    replace_raw(&page("faults"), &faults.to_string())
}

/// Its ledger at one moment.
pub struct LedgerNumbers(Value);

/// Reads its ledger.
pub fn ledger() -> Result<LedgerNumbers> {
    let text = kubectl(&["get", "--raw", &page("ledger")])?;
    Ok(LedgerNumbers(serde_json::from_str(&text).context("the ledger is not JSON")?))
}

impl LedgerNumbers {
    /// One number, by JSON pointer.
    pub fn of(&self, pointer: &str) -> Result<u64> {
        let number = self.0.pointer(pointer).and_then(Value::as_u64);
        number.with_context(|| format!("no {pointer} in {}", self.0))
    }
}
