//! `kubectl bookingqueue hibernate` and `resume`.

use bookingq_api::status::BookingQueueStatus;

use crate::cluster::Cluster;
use crate::error::PluginError;

/// The field, and what errors call its change.
const FIELD: (&str, &str) = ("hibernate", "the change of spec.hibernate");

/// Which queue sleeps.
#[derive(Debug, clap::Args)]
pub struct HibernateArgs {
    /// Name of the BookingQueue
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Also while clients wait, or reservations wait for payment
    #[arg(long, env = "BOOKINGQ_PLUGIN_FORCE")]
    pub force: bool,
}

/// Sets `spec.hibernate`, unless clients would notice.
///
/// # Errors
/// [`PluginError::Busy`] without `--force`; when there is no such queue, or the API server refuses.
pub async fn hibernate(cluster: &Cluster, args: &HibernateArgs) -> Result<String, PluginError> {
    let name = &args.name;
    let queue = cluster.queue(name).await?;
    if let Some(busy) = busy(queue.status.as_ref()).filter(|_| !args.force) {
        return Err(PluginError::Busy { name: name.clone(), busy });
    }
    cluster.set_spec(name, FIELD, true.into()).await?;
    Ok(format!(
        "{name}: hibernates; no worker and no sweeper runs, its data is kept, and clients cannot \
         join or pay until `kubectl bookingqueue resume {name}`\n"
    ))
}

/// Unsets `spec.hibernate`.
///
/// # Errors
/// When there is no such queue, or the API server refuses.
pub async fn resume(cluster: &Cluster, name: &str) -> Result<String, PluginError> {
    cluster.set_spec(name, FIELD, false.into()).await?;
    Ok(format!("{name}: wakes; workers and sweepers start, and the line goes on where it was\n"))
}

/// What clients would notice, in words.
pub fn busy(status: Option<&BookingQueueStatus>) -> Option<String> {
    let status = status?;
    let counts = [
        (status.backlog, "in line"),
        (status.parked, "waiting for a sold out item"),
        (status.in_flight, "in progress"),
        (status.holds, "reserved and not paid yet"),
    ];
    let busy = counts.into_iter().filter_map(|(count, what)| {
        let count = count.filter(|count| *count > 0)?;
        Some(format!("{count} {what}"))
    });
    let busy: Vec<_> = busy.collect();
    (!busy.is_empty()).then(|| busy.join(", "))
}
