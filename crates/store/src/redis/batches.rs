//! Runs scripts: batches cut to size, the entries that they write, the replicas that they wait for.

use std::collections::HashSet;
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, Value};
use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_queue::bounds;

use super::RedisStore;
use super::calls::BatchItem;
use super::rollback::{EntryMark, Watermark};
use crate::{Result, StoreError};

impl RedisStore {
    /// Runs a script that may write an outbox entry, and records the entry.
    pub(super) async fn publish<T: FromRedisValue>(&self, call: &Cmd) -> Result<T> {
        let watermark = self.detector.watermark();
        let answer = self.link.run(call).await?;
        self.written(answer, watermark)
    }

    /// The same, and waits until as many replicas as asked for have it.
    async fn publish_replicated<T: FromRedisValue>(&self, call: &Cmd) -> Result<T> {
        let watermark = self.detector.watermark();
        let answer = self.link.run_replicated(call).await?;
        self.written(answer, watermark)
    }

    /// The same, and returns how many replicas have it.
    pub(super) async fn publish_counted<T: FromRedisValue>(&self, call: &Cmd) -> Result<(T, u8)> {
        let watermark = self.detector.watermark();
        let (answer, had) = self.link.run_counted(call).await?;
        Ok((self.written(answer, watermark)?, had))
    }

    fn written<T>(
        &self,
        (written, answer): (Option<String>, T),
        watermark: Watermark,
    ) -> Result<T> {
        if let Some(written) = written {
            let entry = EntryMark::parse(&written);
            let entry = entry.ok_or_else(|| StoreError::unexpected("not an entry", &written))?;
            self.detector.wrote(entry, watermark);
            self.link.wrote();
        }
        Ok(answer)
    }

    /// Runs one script call for each part of a batch, with `lease` in front of the items if the
    /// script takes one. Returns one answer for each item.
    pub(super) async fn run_batch<I: BatchItem + Sync>(
        &self,
        batch: &[I],
        lease: Option<Duration>,
    ) -> Result<Vec<I::Answer>> {
        let mut results = Vec::with_capacity(batch.len());
        for part in parts(batch) {
            let mut call = self.link.call(I::SCRIPT);
            call.arg(lease.map(bounds::millis));
            I::push(part, &mut call);
            // What a client takes for done must survive a failover.
            let values: Vec<Value> = if I::PUBLISHES {
                self.publish_replicated(&call).await?
            } else {
                self.link.run(&call).await?
            };
            let (head, answers) = values.split_at(I::HEAD.min(values.len()));
            if answers.len() != part.len() {
                return Err(StoreError::unexpected("the number of answers is wrong", &values));
            }
            for (item, answer) in part.iter().zip(answers) {
                results.push(item.read(head, answer)?);
            }
        }
        Ok(results)
    }
}

/// Cuts a batch into script calls of at most 256 items that name each client at most once.
fn parts<I: BatchItem>(batch: &[I]) -> Vec<&[I]> {
    let mut parts = Vec::with_capacity(1);
    let mut named = HashSet::with_capacity(batch.len().min(MAX_STORE_BATCH));
    let mut start = 0;
    for (at, item) in batch.iter().enumerate() {
        if at - start == MAX_STORE_BATCH || named.contains(item.client()) {
            parts.push(&batch[start..at]);
            named.clear();
            start = at;
        }
        named.insert(item.client());
    }
    if start < batch.len() {
        parts.push(&batch[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use bookingq_core::ClientId;

    #[test]
    fn a_script_call_names_each_client_once_and_takes_at_most_256_items() {
        let clients = |names: &[&str]| -> Vec<ClientId> {
            names.iter().map(|name| ClientId::new(name).expect("a valid id")).collect()
        };
        let sizes = |batch: &[ClientId]| -> Vec<usize> {
            parts(batch).iter().map(|part| part.len()).collect()
        };
        assert_eq!(sizes(&clients(&["a", "b", "a", "a", "c", "b"])), [2, 1, 3]);
        let many: Vec<ClientId> = (0..600).map(|n| clients(&[&n.to_string()]).remove(0)).collect();
        assert_eq!(sizes(&many), [256, 256, 88]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
