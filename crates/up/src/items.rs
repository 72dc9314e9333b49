//! The items of a run: how many tickets were sold and how many stayed unsold, and whether every
//! client that wanted one was treated as promised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{SaleRules, SoldOutRule, Timestamp};
use bookingq_crowd::{CrowdDemand, Wanted};
use bookingq_sim::ledger::ItemStock;
use serde::Serialize;

use crate::screen::{green, red};

/// What a client gave back is offered at once; the rest of this time is the Booking Service's.
const OFFERED_WITHIN: Duration = Duration::from_secs(10);
/// Items shown.
const SHOWN: usize = 10;

/// An item at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemReport {
    /// Its name; empty for what is booked without one.
    pub item: Arc<str>,
    /// What a sold out item means for the clients that want it.
    pub rule: SoldOutRule,
    /// Tickets.
    pub stock: u64,
    /// Tickets sold.
    pub sold: u64,
    /// Tickets reserved and not paid.
    pub held: u64,
    /// Tickets left.
    pub unsold: u64,
    /// Clients that wanted it.
    pub clients: u64,
    /// Clients that still wait for it to be available again.
    pub parked: u64,
    /// Clients that learned that it is sold out for good.
    pub sold_out: u64,
    /// Clients that were sent away although enough was left or came back later, or that wait
    /// although enough is left.
    pub passed_by: u64,
}

/// The evidence about the items.
#[derive(Debug)]
pub struct ItemEvidence<'a> {
    /// The Booking Service's tickets.
    pub stocks: &'a BTreeMap<Arc<str>, ItemStock>,
    /// The clients' demand.
    pub demand: &'a BTreeMap<Wanted, CrowdDemand>,
    /// The rules of the sale.
    pub rules: &'a SaleRules,
    /// The end, by the clock of both.
    pub end: Timestamp,
}

impl ItemEvidence<'_> {
    /// Each item that has a stock.
    pub fn report(&self) -> Vec<ItemReport> {
        self.stocks.iter().map(|(item, stock)| self.item(item, stock)).collect()
    }

    fn item(&self, item: &Arc<str>, stock: &ItemStock) -> ItemReport {
        let mut report = ItemReport {
            item: item.clone(),
            rule: self.rules.sold_out.of(item),
            stock: stock.stock,
            sold: stock.confirmed,
            held: stock.held,
            unsold: stock.available,
            clients: 0,
            parked: 0,
            sold_out: 0,
            passed_by: 0,
        };
        for (wanted, demand) in self.demand.iter().filter(|(wanted, _)| wanted.item == *item) {
            report.clients += demand.clients;
            report.parked += demand.parked;
            report.sold_out += demand.sold_out_at.len() as u64;
            if report.rule == SoldOutRule::Wait {
                report.passed_by += self.passed_by(stock, wanted, demand);
            }
        }
        report
    }

    /// The clients of one demand. Lies of the service, and stock that another channel brought
    /// unannounced, break no promise.
    fn passed_by(&self, stock: &ItemStock, wanted: &Wanted, demand: &CrowdDemand) -> u64 {
        let quantity = u64::from(wanted.quantity.get());
        let is_left = stock.available >= quantity && stock.lies + stock.restocked == 0;
        let sent_away = demand.sold_out_at.iter();
        let sent_away = sent_away.filter(|at| is_left || stock.returned_after(**at) >= quantity);
        let returned = stock.returns.last().map_or(Timestamp(0), |last| last.at);
        let is_offered = self.end.since(returned) < OFFERED_WITHIN
            || self.rules.outflow != bookingq_core::Outflow::default();
        let waits = if is_left && !is_offered { demand.parked } else { 0 };
        sent_away.count() as u64 + waits
    }
}

/// The items and the promise about them, for a person.
pub fn lines(items: &[ItemReport]) -> Vec<String> {
    let mut lines: Vec<String> = items.iter().take(SHOWN).map(line).collect();
    if items.len() > SHOWN {
        lines.push(format!("  and {} other items", items.len() - SHOWN));
    }
    let passed_by: u64 = items.iter().map(|item| item.passed_by).sum();
    if passed_by > 0 {
        lines.push(red(&format!(
            "  BROKEN: {passed_by} clients were sent away, or wait, although tickets were left for them"
        )));
    } else if items.iter().any(|item| item.rule == SoldOutRule::Wait) {
        lines.push(green(
            "  kept: no ticket stayed unsold that a client waited for, or was sent away from",
        ));
    }
    lines
}

fn line(item: &ItemReport) -> String {
    let ItemReport { item, rule, stock, sold, held, unsold, clients, parked, sold_out, .. } = item;
    let name = if item.is_empty() { "tickets" } else { item };
    let rule = match rule {
        SoldOutRule::Wait => "",
        SoldOutRule::End => " (soldOut: End)",
    };
    format!(
        "  {name}: sold {sold} + held {held} + unsold {unsold} = {stock}; {clients} clients wanted \
         it, {sold_out} were sent away{rule}, {parked} wait"
    )
}
