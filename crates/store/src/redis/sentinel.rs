//! Asks sentinels where a primary is.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::ConnectionInfo;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::address::at;
use super::dial::{PROBE, dial};
use super::fault::classify;
use super::tls::RedisTls;
use crate::{Result, StoreError};

/// How long the answers of others are awaited after the first one.
const OTHERS: Duration = Duration::from_millis(200);

/// Where a sentinel believes the primary to be.
#[derive(Debug, PartialEq, Eq)]
struct Belief {
    /// Rises with each failover, so the highest is the newest.
    epoch: u64,
    host: String,
    port: u16,
}

/// The servers that the sentinels name, the newest first. All are asked at once, since one may be
/// away, frozen, or know an old primary only.
pub(super) async fn ask(
    tls: &RedisTls,
    sentinels: Vec<ConnectionInfo>,
    primary: &str,
    like: &ConnectionInfo,
) -> Result<Vec<ConnectionInfo>> {
    let mut asked = JoinSet::new();
    for info in sentinels {
        let (tls, primary) = (tls.clone(), primary.to_owned());
        asked.spawn(async move { ask_one(&tls, info, &primary).await });
    }
    let mut beliefs: Vec<Belief> = Vec::new();
    let mut failures = Vec::new();
    let mut until = Instant::now() + 2 * PROBE;
    while let Ok(Some(answer)) = timeout_at(until, asked.join_next()).await {
        match answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string()))) {
            Ok(said) => {
                beliefs.extend(said);
                until = until.min(Instant::now() + OTHERS);
            }
            Err(error) => failures.push(error.to_string()),
        }
    }
    if beliefs.is_empty() {
        let why = failures.join("; ");
        return Err(StoreError::Unavailable(format!("no sentinel knows {primary:?}: {why}")));
    }
    beliefs.sort_by(|a, b| (b.epoch, &b.host, b.port).cmp(&(a.epoch, &a.host, a.port)));
    beliefs.dedup_by(|a, b| (&a.host, a.port) == (&b.host, b.port));
    Ok(beliefs.iter().map(|belief| at(like, &belief.host, belief.port)).collect())
}

/// What one sentinel says: where the primary is, and which replica it is promoting.
async fn ask_one(tls: &RedisTls, info: ConnectionInfo, primary: &str) -> Result<Vec<Belief>> {
    let address = info.addr().to_string();
    let failed = |why: &str| StoreError::Unavailable(format!("{address}: {why}"));
    let mut connection = dial(tls, info, PROBE).await?;
    let mut asking = ::redis::pipe();
    asking.cmd("SENTINEL").arg("MASTER").arg(primary);
    asking.cmd("SENTINEL").arg("REPLICAS").arg(primary);
    let asked = asking.query_async::<(Described, Vec<Described>)>(&mut connection);
    let (master, replicas) = match timeout(PROBE, asked).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => return Err(failed(&classify(&error).0.to_string())),
        Err(_) => return Err(failed("no answer")),
    };
    let epoch = master.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    let mut beliefs = Vec::from_iter(belief(&master, epoch));
    // It names the new primary only once it has seen its role, up to a second after the promotion.
    let promoted = |replica: &&Described| {
        replica.get("flags").is_some_and(|flags| flags.split(',').any(|flag| flag == "promoted"))
    };
    beliefs.extend(replicas.iter().filter(promoted).filter_map(|one| belief(one, epoch + 1)));
    if beliefs.is_empty() { Err(failed("it names no address")) } else { Ok(beliefs) }
}

/// How a sentinel describes a server.
type Described = HashMap<String, String>;

fn belief(server: &Described, epoch: u64) -> Option<Belief> {
    let host = server.get("ip").filter(|host| !host.is_empty())?.clone();
    Some(Belief { epoch, host, port: server.get("port")?.parse().ok()? })
}
