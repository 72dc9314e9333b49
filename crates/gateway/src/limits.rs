//! How often one address may join or connect without a place.
//!
//! ```text
//!   peer, X-Forwarded-For ── proxies ──> address ──> table ──> allowed
//!                                                      │─────> challenge: solve it, try again
//!                                                      '─────> refused, at four times the limit
//! ```
//!
//! Hundreds of people share one address (CGNAT, offices), so the limit asks for a proof of work
//! first, and refuses only at four times. A client with a valid place is never limited: handlers
//! ask here only for requests without one. An enqueue token is as good, since it names one account.

pub mod address_rate;
pub mod address_table;
pub mod challenge;
pub mod decision;
pub mod limit_metrics;
pub mod proxies;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use self::address_table::{AddressKey, AddressTable};
use self::decision::{LimitDecision, LimitedUse};
use self::limit_metrics::LimitMetrics;
use self::proxies::TrustedProxies;

/// A /48 is a company, or a part of a provider's network with many customers.
const SITE: u32 = 8;
/// At so many times the limit even solved challenges are refused.
const HARD: u32 = 4;

/// The limits of one gateway.
#[derive(Debug)]
pub struct AddressLimits {
    /// None: nothing is limited.
    table: Option<AddressTable>,
    proxies: TrustedProxies,
    start: Instant,
    metrics: LimitMetrics,
}

impl AddressLimits {
    /// Behind these proxies.
    pub fn new(proxies: TrustedProxies, metrics: LimitMetrics) -> Self {
        let table = Some(AddressTable::default());
        Self { table, proxies, start: Instant::now(), metrics }
    }

    /// Without limits: for tests and load generators, which send from one address.
    #[must_use]
    pub fn unlimited(self) -> Self {
        Self { table: None, ..self }
    }

    /// Where decisions are counted.
    pub fn metrics(&self) -> &LimitMetrics {
        &self.metrics
    }

    /// The address that a request counts for.
    pub fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.client(peer, headers)
    }

    /// Counts a request, and decides. `solved`: it brings the solution of a challenge.
    pub fn count(&self, usage: LimitedUse, address: IpAddr, solved: bool) -> LimitDecision {
        let decision = self.count_at(usage, address, solved, self.start.elapsed());
        self.metrics.decided(usage, decision);
        decision
    }

    /// The same at a time since the start.
    pub fn count_at(
        &self,
        usage: LimitedUse,
        address: IpAddr,
        solved: bool,
        now: Duration,
    ) -> LimitDecision {
        let Some(table) = &self.table else { return LimitDecision::Allowed };
        let rate = usage.rate();
        let site = rate.times(SITE);
        let (own, wider) = AddressKey::of(address);
        let first = table.count((usage, own), [rate, rate.times(HARD)], solved, now);
        match (first, wider) {
            (LimitDecision::Allowed, Some(wider)) => {
                table.count((usage, wider), [site, site.times(HARD)], solved, now)
            }
            _ => first,
        }
    }
}
