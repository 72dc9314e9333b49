//! The Kafka of a queue: from spec to plan.

use bookingq_core::kafka::{MAX_BROKERS, is_broker, is_topic_prefix};

use super::SpecCheck;
use crate::kafka::{KafkaSaslMechanism, KafkaSpec, MAX_WORKERS};
use crate::plan::KafkaPlan;
use crate::spec::BookingQueueSpec;

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
        let (path, workers) = match spec.replicas {
            Some(replicas) => ("spec.replicas", replicas),
            None => ("spec.autoscaling.max", spec.autoscaling.max),
        };
        if workers > MAX_WORKERS as i32 {
            self.refuse(path, workers, format!("at most {MAX_WORKERS} with spec.kafka"));
        }
        let brokers: Vec<&str> = kafka.bootstrap.split(',').map(str::trim).collect();
        if brokers.len() > MAX_BROKERS || !brokers.iter().all(|broker| is_broker(broker)) {
            let allowed = "HOST:PORT[,HOST:PORT…], at most 64 of them";
            self.refuse("spec.kafka.bootstrap", format!("{:?}", kafka.bootstrap), allowed);
        }
        let prefix = &kafka.topic_prefix;
        if !is_topic_prefix(prefix) {
            let allowed = "1 to 100 letters, digits, '.', '_' and '-'";
            self.refuse("spec.kafka.topicPrefix", format!("{prefix:?}"), allowed);
        }
        if let Some(sasl) = &kafka.sasl {
            if sasl.mechanism == KafkaSaslMechanism::Plain && kafka.tls.is_none() {
                let allowed = "SCRAM-SHA-512 or SCRAM-SHA-256; PLAIN with spec.kafka.tls only";
                self.refuse("spec.kafka.sasl.mechanism", "PLAIN", allowed);
            }
            if sasl.username.is_empty() {
                self.refuse("spec.kafka.sasl.username", "empty", "the name of a user");
            }
        }
        Some(KafkaPlan {
            tls: kafka.tls.clone(),
            sasl: kafka.sasl.clone(),
            brokers: brokers.into_iter().map(str::to_owned).collect(),
            topic_prefix: prefix.clone(),
            replication: self.number("spec.kafka.replication", kafka.replication, 1..=9) as u16,
        })
    }
}
