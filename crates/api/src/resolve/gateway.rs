//! The gateway of a queue: from spec to plan.

use bookingq_core::Details;
use bookingq_core::autoscale::sockets::SocketPolicy;
use bookingq_core::ip_network::IpNetwork;

use super::{DAY, MINUTE, SECOND, SpecCheck};
use crate::gateway::{BrandSpec, GatewayAutoscalingSpec, GatewaySpec, HttpRouteSpec, OfferSpec};
use crate::plan::{GatewayPlan, GatewayScaling, OfferPlan};
use crate::spec::BookingQueueSpec;
use crate::web::{is_color, is_label, is_link, is_name, is_of, is_origin, is_text};

impl SpecCheck {
    pub(super) fn gateway(&mut self, spec: &BookingQueueSpec) -> Option<GatewayPlan> {
        let asked = spec.gateway.as_ref()?;
        if let Some(host) = asked.host.as_ref().filter(|host| !is_name(host)) {
            let allowed = "a host name in lower case, such as wait.example.com";
            self.refuse("spec.gateway.host", format!("{host:?}"), allowed);
        }
        self.origins("origins", &asked.origins);
        self.returns(asked);
        self.brand(&asked.brand);
        let network = "an address, or a network such as 10.0.0.0/8 or fd00::/8";
        let is_network = |text: &str| IpNetwork::parse(text).is_some();
        self.each("trustedProxies", &asked.trusted_proxies, is_network, network);
        self.exposure(asked);
        self.certificates(spec, asked);
        self.resources("spec.gateway.resources", asked.resources.as_ref());
        let namespace = "the name of a namespace: 1 to 63 lower-case letters, digits and '-'";
        self.each("backend.namespaces", &asked.backend.namespaces, is_label, namespace);
        let connections = "spec.gateway.maxConnections";
        let max_connections = self.number(connections, asked.max_connections, 1..=10_000_000);
        Some(GatewayPlan {
            items: self.offers(&asked.items),
            drain: self.duration("spec.gateway.drain", asked.drain, SECOND..=10 * MINUTE),
            scaling: self.gateway_scaling(asked, max_connections),
            max_connections,
            spec: asked.clone(),
        })
    }

    fn gateway_scaling(&mut self, asked: &GatewaySpec, max_connections: u32) -> GatewayScaling {
        let GatewayAutoscalingSpec {
            min_replicas,
            max_replicas,
            connections_per_replica,
            scale_down_window,
        } = asked.autoscaling;
        let path = |field: &str| format!("spec.gateway.autoscaling.{field}");
        let min = self.number(&path("minReplicas"), min_replicas, 1..=100);
        let max = self.number(&path("maxReplicas"), max_replicas, 1..=100);
        if min_replicas > max_replicas {
            let allowed = format!("at most spec.gateway.autoscaling.maxReplicas ({max_replicas})");
            self.refuse(&path("minReplicas"), min_replicas, allowed);
        }
        let per_replica = path("connectionsPerReplica");
        let sockets = self.number(&per_replica, connections_per_replica, 1..=1_000_000);
        if asked.replicas.is_none() && sockets > max_connections {
            let allowed = format!("at most spec.gateway.maxConnections ({max_connections})");
            self.refuse(&per_replica, sockets, allowed);
        }
        let window = path("scaleDownWindow");
        let scale_down_window =
            self.duration(&window, scale_down_window, std::time::Duration::ZERO..=DAY);
        match asked.replicas {
            Some(replicas) => {
                GatewayScaling::Fixed(self.number("spec.gateway.replicas", replicas, 0..=100))
            }
            None => GatewayScaling::Automatic(SocketPolicy {
                min,
                max,
                per_replica: sockets,
                scale_down_window,
            }),
        }
    }

    /// A proxy whose X-Forwarded-For is not believed stands for all its clients, and they share the
    /// limits of one address.
    fn exposure(&mut self, asked: &GatewaySpec) {
        let exposed = match (&asked.ingress, &asked.http_route) {
            (None, None) => return,
            (Some(_), _) => "spec.gateway.ingress",
            (None, Some(_)) => "spec.gateway.httpRoute",
        };
        if asked.host.is_none() {
            let allowed = format!("a host name, because {exposed} is set");
            self.refuse("spec.gateway.host", "not set", allowed);
        }
        if asked.trusted_proxies.is_empty() {
            let allowed = format!(
                "the addresses or networks of the proxies in front of the gateways, because \
                 {exposed} is set"
            );
            self.refuse("spec.gateway.trustedProxies", "empty", allowed);
        }
        if let Some(HttpRouteSpec { parent_refs }) = &asked.http_route
            && !(1..=32).contains(&parent_refs.len())
        {
            let count = format!("{} Gateways", parent_refs.len());
            self.refuse("spec.gateway.httpRoute.parentRefs", count, "1 to 32 Gateways");
        }
    }

    fn certificates(&mut self, spec: &BookingQueueSpec, asked: &GatewaySpec) {
        let required =
            spec.worker.tls.as_ref().is_some_and(|tls| tls.client_ca_secret_name.is_some());
        let path = "spec.gateway.clientCertificateSecretName";
        match (required, &asked.client_certificate_secret_name) {
            (true, None) => self.refuse(
                path,
                "not set",
                "a Secret with tls.crt and tls.key, because spec.worker.tls.clientCaSecretName is set",
            ),
            (false, Some(name)) => {
                self.refuse(path, name, "only with spec.worker.tls.clientCaSecretName");
            }
            _ => {}
        }
        if let (Some(name), None) = (&asked.backend.client_ca_secret_name, &asked.tls) {
            self.refuse(
                "spec.gateway.backend.clientCaSecretName",
                name,
                "only with spec.gateway.tls",
            );
        }
    }

    fn brand(&mut self, brand: &BrandSpec) {
        let text = "without control characters, at most";
        let link = "https://HOST/PATH, or a path of the gateways' own host";
        let color = "a colour in hexadecimal, such as #0a7d4b";
        for (field, value, fits, allowed) in [
            (
                "title",
                &brand.title,
                (|text| is_text(text, 200)) as fn(&str) -> bool,
                format!("{text} 200 bytes"),
            ),
            ("text", &brand.text, |text| is_text(text, 500), format!("{text} 500 bytes")),
            ("color", &brand.color, is_color, color.to_owned()),
            ("logo", &brand.logo, is_link, link.to_owned()),
            ("home", &brand.home, is_link, link.to_owned()),
        ] {
            if let Some(value) = value.as_ref().filter(|value| !fits(value)) {
                self.refuse(&format!("spec.gateway.brand.{field}"), format!("{value:?}"), allowed);
            }
        }
    }

    /// Where passes go, and for whom they are.
    fn returns(&mut self, asked: &GatewaySpec) {
        self.origins("returnOrigins", &asked.return_origins);
        if let Some(url) =
            asked.return_url.as_ref().filter(|url| !is_of(url, &asked.return_origins))
        {
            let allowed = "a URL of one of spec.gateway.returnOrigins, at most 1024 bytes";
            self.refuse("spec.gateway.returnUrl", format!("{url:?}"), allowed);
        }
        if let Some(audience) = asked.audience.as_ref().filter(|name| !is_text(name, 200)) {
            let allowed = "without control characters, at most 200 bytes";
            self.refuse("spec.gateway.audience", format!("{audience:?}"), allowed);
        }
    }

    fn offers(&mut self, items: &[OfferSpec]) -> Vec<OfferPlan> {
        let mut offers: Vec<OfferPlan> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = |field: &str| format!("spec.gateway.items[{index}].{field}");
            let quantity = item.max_quantity.unwrap_or(1);
            let max_quantity = self.number(&path("maxQuantity"), quantity, 1..=100);
            let name = path("name");
            if self.keep(&name, Details::new(&item.name, 0, &[])).is_none() {
                continue;
            }
            if offers.iter().any(|other| other.name == item.name) {
                let allowed = "a name that no other entry has";
                self.refuse(&name, format!("{:?}", item.name), allowed);
            }
            let title = item.title.clone();
            if let Some(title) = title.as_ref().filter(|title| !is_text(title, 200)) {
                let allowed = "without control characters, at most 200 bytes";
                self.refuse(&path("title"), format!("{title:?}"), allowed);
            }
            offers.push(OfferPlan { name: item.name.clone(), title, max_quantity });
        }
        offers
    }

    fn origins(&mut self, field: &str, origins: &[String]) {
        let allowed = "https://HOST[:PORT] in lower case, or http://, without a path";
        self.each(field, origins, is_origin, allowed);
    }

    fn each(&mut self, field: &str, values: &[String], fits: fn(&str) -> bool, allowed: &str) {
        for (index, value) in values.iter().enumerate().filter(|(_, value)| !fits(value)) {
            let path = format!("spec.gateway.{field}[{index}]");
            self.refuse(&path, format!("{value:?}"), allowed);
        }
    }
}
