//! The address of Redis: one server, several, those that Sentinel names, or a Cluster.

use ::redis::io::tcp::TcpSettings;
use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::StoreError;

/// Servers that one address may name.
const MAX_HOSTS: usize = 64;

/// How the servers of an address find the one that takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topology {
    /// There is one server, or a proxy or a name that leads to it.
    One,
    /// `redis://a,b,c`: the one that says it is the primary.
    Among,
    /// `redis-sentinel://a,b,c#name`: sentinels know the primary of this name.
    Sentinel {
        /// The name in the configuration of Sentinel.
        primary: String,
    },
    /// `redis-cluster://a,b,c`: the one that has the queue's slot.
    Cluster,
}

/// An address, read.
#[derive(Debug, Clone)]
pub(super) struct RedisAddress {
    pub(super) topology: Topology,
    /// The servers that the address names, with the credentials of the data.
    pub(super) nodes: Vec<ConnectionInfo>,
}

impl RedisAddress {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`StoreError::Settings`]. It never repeats the URL, which may carry a password.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(invalid("it has no ://"));
        };
        let (base, kind) = scheme.split_once('-').unwrap_or((scheme, ""));
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (format!("{credentials}@"), rest),
            None => (String::new(), rest),
        };
        let (rest, name) = rest.split_once('#').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let hosts: Vec<&str> = hosts.split(',').collect();
        let topology = match kind {
            "" if hosts.len() > 1 => Topology::Among,
            "" => Topology::One,
            "sentinel" if name.is_empty() => {
                return Err(invalid("redis-sentinel:// ends with #NAME, the primary's name"));
            }
            "sentinel" => Topology::Sentinel { primary: name.to_owned() },
            "cluster" if !matches!(path, "" | "/" | "/0") => {
                return Err(invalid("a Redis Cluster has database 0 only"));
            }
            "cluster" => Topology::Cluster,
            _ => return Err(invalid("the scheme is unknown")),
        };
        if !name.is_empty() && kind != "sentinel" {
            return Err(invalid("only redis-sentinel:// has #NAME"));
        }
        if hosts.len() > MAX_HOSTS {
            return Err(invalid("it has more than 64 hosts"));
        }
        let default_port = if kind == "sentinel" { ":26379" } else { "" };
        let node = |host: &&str| {
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
            let port = if has_port { "" } else { default_port };
            connection_info(&format!("{base}://{credentials}{host}{port}{path}"))
        };
        Ok(Self { topology, nodes: hosts.iter().map(node).collect::<Result<_, _>>()? })
    }

    /// Whether connections use TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }))
    }

    /// Whether the servers that it names are sentinels.
    pub(super) fn has_sentinels(&self) -> bool {
        matches!(self.topology, Topology::Sentinel { .. })
    }

    /// The sentinels, with credentials of their own.
    pub(super) fn sentinels(&self, login: &RedisConnectionInfo) -> Vec<ConnectionInfo> {
        let node = |node: &ConnectionInfo| node.clone().set_redis_settings(login.clone());
        self.nodes.iter().map(node).collect()
    }
}

/// How to connect to another host in the same way.
pub(super) fn at(like: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    like.clone().set_addr(address)
}

fn connection_info(url: &str) -> Result<ConnectionInfo, StoreError> {
    let info = url.into_connection_info().map_err(|error| invalid(error.category()))?;
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn invalid(why: &str) -> StoreError {
    StoreError::Settings(format!(
        "the URL is not redis://HOST[,HOST…], redis-sentinel://HOST[,HOST…]#NAME or \
         redis-cluster://HOST[,HOST…], or one of them with rediss ({why})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> (Topology, Vec<String>) {
        let address = RedisAddress::parse(url).unwrap();
        (address.topology, address.nodes.iter().map(|node| node.addr().to_string()).collect())
    }

    #[test]
    fn an_address_says_how_the_primary_is_found() {
        assert_eq!(hosts("redis://a:1/0"), (Topology::One, vec!["a:1".to_owned()]));
        let (topology, nodes) = hosts("redis://u:p@a,b:2,[::1]:3/4");
        assert_eq!(topology, Topology::Among);
        assert_eq!(nodes, ["a:6379", "b:2", "::1:3"]);
        let (topology, nodes) = hosts("rediss-sentinel://:p@a,b:2,[::1]/4#tickets");
        assert_eq!(topology, Topology::Sentinel { primary: "tickets".to_owned() });
        assert_eq!(nodes, ["a:26379", "b:2", "::1:26379"]);
        assert_eq!(hosts("redis-cluster://a,b").0, Topology::Cluster);
    }

    #[test]
    fn every_server_gets_the_credentials_the_database_and_tls() {
        let address = RedisAddress::parse("rediss://u:p%40@a,b:2/4").unwrap();
        assert!(address.has_tls());
        for node in address.nodes.iter().chain([&at(&address.nodes[0], "c", 5)]) {
            let login = node.redis_settings();
            assert_eq!((login.username(), login.password()), (Some("u"), Some("p@")));
            assert_eq!(login.db(), 4);
            assert!(matches!(node.addr(), ConnectionAddr::TcpTls { .. }), "{node:?}");
        }
    }

    #[test]
    fn an_error_names_what_is_allowed_and_no_password() {
        for url in [
            "http://u:secret@a",
            "redis-ring://u:secret@a",
            "redis-sentinel://u:secret@a",
            "redis-cluster://u:secret@a/1",
            "redis://u:secret@a#name",
            "u:secret@a",
            "redis://u:secret@a,b:x",
        ] {
            let error = RedisAddress::parse(url).unwrap_err().to_string();
            assert!(error.contains("redis-cluster://"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
