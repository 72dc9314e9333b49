//! The Redis of a queue: from spec to plan.

use super::SpecCheck;
use crate::plan::{RedisPlan, RedisSource};
use crate::redis::{AppendFsync, ManagedRedis, RedisSentinel, RedisSpec};

impl SpecCheck {
    pub(super) fn redis(&mut self, redis: &RedisSpec) -> Option<RedisPlan> {
        let mut sources: Vec<(&str, RedisSource)> = [
            redis
                .managed
                .clone()
                .map(|managed| ("managed", RedisSource::Managed(Box::new(managed)))),
            redis.url.clone().map(|url| ("url", RedisSource::Url(url))),
            redis.url_secret.clone().map(|key| ("urlSecret", RedisSource::UrlSecret(key))),
            redis.sentinel.clone().map(|sentinel| ("sentinel", RedisSource::Sentinel(sentinel))),
            redis.cluster.clone().map(|cluster| ("cluster", RedisSource::Cluster(cluster))),
        ]
        .into_iter()
        .flatten()
        .collect();
        if sources.len() > 1 {
            let named: Vec<&str> = sources.iter().map(|(name, _)| *name).collect();
            self.refuse(
                "spec.redis",
                named.join(" and "),
                "one of managed, url, urlSecret, sentinel and cluster",
            );
            return None;
        }
        let (_, source) =
            sources.pop().unwrap_or(("managed", RedisSource::Managed(Box::default())));
        match &source {
            RedisSource::Url(url) => self.redis_url(url),
            RedisSource::Managed(managed) => {
                self.quantity("spec.redis.managed.storage", &managed.storage);
                self.managed_replicas(managed);
                self.restore_from(managed);
                self.resources("spec.redis.managed.resources", managed.resources.as_ref());
            }
            RedisSource::Sentinel(sentinel) => self.sentinel(sentinel),
            RedisSource::Cluster(cluster) => {
                self.hosts("spec.redis.cluster.nodes", &cluster.nodes);
            }
            RedisSource::UrlSecret(_) => {}
        }
        // A primary that is lost must not take acknowledged places with it, if another Pod can have
        // them.
        let default = match &source {
            RedisSource::Managed(managed) if managed.replicas > 1 => 1,
            _ => 0,
        };
        let acknowledge = redis.acknowledge.map_or(default, |acknowledge| acknowledge.replicas);
        Some(RedisPlan {
            source,
            password: redis.password_secret.clone(),
            tls: redis.tls.clone(),
            acknowledge_replicas: self.number("spec.redis.acknowledge.replicas", acknowledge, 0..=2)
                as u8,
        })
    }

    fn sentinel(&mut self, sentinel: &RedisSentinel) {
        self.hosts("spec.redis.sentinel.nodes", &sentinel.nodes);
        let name = &sentinel.primary_name;
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            let allowed = "the name in Sentinel's configuration";
            self.refuse("spec.redis.sentinel.primaryName", format!("{name:?}"), allowed);
        }
        if let Some(database) = sentinel.database {
            self.number("spec.redis.sentinel.database", database, 0..=1023);
        }
    }

    fn managed_replicas(&mut self, managed: &ManagedRedis) {
        match (managed.replicas, managed.appendfsync) {
            (1, _) | (3, AppendFsync::Always) => {}
            (3, other) => self.refuse(
                "spec.redis.managed.appendfsync",
                other.as_str(),
                "always, with replicas: 3",
            ),
            (other, _) => self.refuse("spec.redis.managed.replicas", other, "1 or 3"),
        }
    }

    fn restore_from(&mut self, managed: &ManagedRedis) {
        let Some(source) = &managed.restore_from else { return };
        if !source.has_valid_path() {
            let allowed = "the path of an .rdb file: letters, digits, '.', '_', '-' and '/', no \
                           part of it starting with '.'";
            let path = "spec.redis.managed.restoreFrom.file";
            self.refuse(path, format!("{:?}", source.file), allowed);
        }
        self.place("spec.redis.managed.restoreFrom", source.place());
        if managed.replicas != 1 {
            let allowed = "absent with replicas: 3; restore with 1, then ask for 3";
            self.refuse("spec.redis.managed.restoreFrom", "set", allowed);
        }
    }

    fn redis_url(&mut self, url: &str) {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        match scheme {
            "redis" | "rediss" if !url.contains('@') && authority.split(',').all(is_host) => {}
            // The value is not repeated: it holds a secret.
            "redis" | "rediss" if url.contains('@') => {
                self.refuse(
                    "spec.redis.url",
                    "a URL with a password",
                    "a URL without one: use passwordSecret, or urlSecret",
                );
            }
            _ => self.refuse(
                "spec.redis.url",
                format!("{url:?}"),
                "redis://HOST[:PORT][,HOST…][/DB] or rediss://…",
            ),
        }
    }

    fn hosts(&mut self, path: &str, nodes: &[String]) {
        if nodes.is_empty() {
            self.refuse(path, "empty", "at least one HOST[:PORT]");
        }
        for (index, node) in nodes.iter().enumerate() {
            if !is_host(node) {
                self.refuse(&format!("{path}[{index}]"), format!("{node:?}"), "HOST[:PORT]");
            }
        }
    }
}

/// Whether it is `HOST` or `HOST:PORT`.
fn is_host(text: &str) -> bool {
    let authority: Option<http::uri::Authority> = text.parse().ok();
    authority.is_some_and(|authority| {
        let has_port = authority.as_str() != authority.host();
        !authority.host().is_empty() && (!has_port || authority.port_u16().is_some())
    })
}
