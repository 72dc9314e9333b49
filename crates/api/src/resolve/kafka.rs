//! The Kafka of a queue: from spec to plan.

use super::SpecCheck;
use crate::kafka::{KafkaSpec, MAX_WORKERS};
use crate::plan::KafkaPlan;
use crate::spec::BookingQueueSpec;

/// Brokers that an address may name.
const MAX_BROKERS: usize = 64;
/// Characters of the prefix.
const MAX_PREFIX: usize = 100;

impl SpecCheck {
    pub(super) fn kafka(
        &mut self,
        spec: &BookingQueueSpec,
        kafka: &KafkaSpec,
    ) -> Option<KafkaPlan> {
        if spec.redis.is_some() {
            self.refuse("spec", "with redis and kafka", "one of redis and kafka");
            return None;
        }
        let workers = [
            ("spec.replicas", spec.replicas),
            (
                "spec.autoscaling.max",
                Some(spec.autoscaling.max).filter(|_| spec.replicas.is_none()),
            ),
        ];
        for (path, number) in workers {
            if let Some(number) = number.filter(|number| *number > MAX_WORKERS as i32) {
                let allowed = format!("at most {MAX_WORKERS} with spec.kafka");
                self.refuse(path, number, allowed);
            }
        }
        let brokers: Vec<&str> = kafka.bootstrap.split(',').map(str::trim).collect();
        if brokers.len() > MAX_BROKERS || !brokers.iter().all(|broker| is_broker(broker)) {
            let allowed = "HOST:PORT[,HOST:PORT…], at most 64 of them";
            self.refuse("spec.kafka.bootstrap", format!("{:?}", kafka.bootstrap), allowed);
        }
        let prefix = &kafka.topic_prefix;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=MAX_PREFIX).contains(&prefix.len()) || !prefix.chars().all(fits) {
            let allowed = "1 to 100 letters, digits, '.', '_' and '-'";
            self.refuse("spec.kafka.topicPrefix", format!("{prefix:?}"), allowed);
        }
        Some(KafkaPlan {
            brokers: brokers.into_iter().map(str::to_owned).collect(),
            topic_prefix: prefix.clone(),
            replication: self.number("spec.kafka.replication", kafka.replication, 1..=9) as u16,
        })
    }
}

/// Whether it is `HOST:PORT`.
fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '[' | ']');
    !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
}
