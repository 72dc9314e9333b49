//! The gateways of a queue: what browsers and apps connect to.

use std::collections::BTreeMap;

use bookingq_core::autoscale::sockets::SocketPolicy;
use bookingq_core::defaults;
use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cel;
use crate::duration::DurationString;
use crate::worker::any_object;

/// The gateways of a queue: HTTP, WebSockets and the waiting-room page, for browsers and apps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    ("!(has(self.ingress) || has(self.httpRoute)) || has(self.host)", "ingress and httpRoute require host"),
    (
        "!(has(self.ingress) || has(self.httpRoute)) || has(self.trustedProxies)",
        "ingress and httpRoute require trustedProxies: otherwise all clients share the limits of one address",
    ),
    (
        "!has(self.backend) || !has(self.backend.clientCaSecretName) || has(self.tls)",
        "backend.clientCaSecretName requires tls",
    ),
])))]
pub struct GatewaySpec {
    /// Container image. Defaults to the operator's own image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Keys of places and passes.
    pub keys: KeysSpec,
    /// Host name under which browsers reach the gateways, such as wait.example.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Origins whose pages may call the gateways, such as `https://www.example.com`. Pages of the
    /// gateways' own host always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 300)))]
    pub origins: Vec<String>,
    /// Origins to which clients may bring their passes: where the payment takes place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 300)))]
    pub return_origins: Vec<String>,
    /// Where a client brings its pass if it named no other URL: a URL of one of returnOrigins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub return_url: Option<String>,
    /// Who accepts the passes (`aud`). Defaults to the queue's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub audience: Option<String>,
    /// The look of the page.
    #[serde(default)]
    pub brand: BrandSpec,
    /// What the page offers, in this order. Empty: the page offers no choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub items: Vec<OfferSpec>,
    /// Proxies in front of the gateways whose X-Forwarded-For they believe: addresses, or networks
    /// such as 10.0.0.0/8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 64)))]
    pub trusted_proxies: Vec<String>,
    /// Connections open at once on one gateway. Further WebSockets are refused; pages and polls are
    /// still answered.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_connections: i32,
    /// Time in which a gateway that shuts down closes its WebSockets, spread evenly. 1s to 10m.
    #[serde(default = "default_drain")]
    pub drain: DurationString,
    /// Fixed number of gateways. Disables autoscaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// How the number of gateways follows the open WebSockets. Ignored if replicas is set.
    #[serde(default)]
    pub autoscaling: GatewayAutoscalingSpec,
    /// TLS of the public port and the backend port. By default they speak plain text, for a proxy
    /// that ends TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTlsSpec>,
    /// The port on which the seller's backend confirms payments.
    #[serde(default)]
    pub backend: BackendSpec,
    /// Secret in the same namespace with tls.crt and tls.key, which the gateways present to workers
    /// that require a certificate (worker.tls.clientCaSecretName).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_certificate_secret_name: Option<String>,
    /// Lets only the gateways connect to the gRPC port of the workers, by a NetworkPolicy.
    #[serde(default)]
    pub exclusive: bool,
    /// An Ingress for the public port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    /// An HTTPRoute of the Gateway API for the public port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteSpec>,
    /// Compute resources of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// A PodTemplateSpec that is merged into the gateway Pods, for node selectors, tolerations,
    /// labels and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod_template: Option<Map<String, Value>>,
}

fn default_connections() -> i32 {
    defaults::GATEWAY_CONNECTIONS as i32
}

fn default_drain() -> DurationString {
    DurationString::new(defaults::GATEWAY_DRAIN)
}

/// Keys of places and passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysSpec {
    /// Secret in the same namespace with one key file in each entry, as `bookingq keys new` makes
    /// them. Gateways read changed keys without a restart.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// The look of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BrandSpec {
    /// Title of the page. Defaults to the queue's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// A sentence below the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub text: Option<String>,
    /// URL of a logo: https://…, or a path of the gateways' own host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub logo: Option<String>,
    /// Colour of buttons and of the progress, such as #0a7d4b.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 4, max = 7))]
    pub color: Option<String>,
    /// Link back to the seller's pages: https://…, or a path of the gateways' own host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub home: Option<String>,
}

/// An item that the page offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferSpec {
    /// Name of the item, as the Booking Service knows it.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its text on the page. Defaults to the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// The largest quantity that the page offers. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_quantity: Option<i32>,
}

/// How the number of gateways follows the open WebSockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::rule("self.minReplicas <= self.maxReplicas", "minReplicas must not be above maxReplicas")))]
pub struct GatewayAutoscalingSpec {
    /// Minimum number of gateways.
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: i32,
    /// Maximum number of gateways.
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: i32,
    /// Number of WebSockets and event streams that one gateway should hold.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_replica: i32,
    /// Scales down only if fewer gateways were enough for this whole time: a gateway that leaves
    /// moves all its connections. 0s to 24h.
    pub scale_down_window: DurationString,
}

impl Default for GatewayAutoscalingSpec {
    fn default() -> Self {
        Self {
            min_replicas: SocketPolicy::DEFAULT.min as i32,
            max_replicas: SocketPolicy::DEFAULT.max as i32,
            connections_per_replica: SocketPolicy::DEFAULT.per_replica as i32,
            scale_down_window: DurationString::new(SocketPolicy::DEFAULT.scale_down_window),
        }
    }
}

/// TLS of the public port and the backend port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTlsSpec {
    /// Secret in the same namespace with the certificate in tls.crt and its key in tls.key.
    /// Gateways read a renewed certificate without a restart.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// The port on which the seller's backend confirms payments. It never serves browsers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendSpec {
    /// Secret in the same namespace whose ca.crt signs the certificates of the seller's backend. By
    /// default the backend shows a token that a key of purpose `backend` has signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_ca_secret_name: Option<String>,
    /// Namespaces whose Pods may connect. By default those of the queue's own namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
}

/// An Ingress for the public port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Name of the IngressClass. Defaults to that of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Annotations of the Ingress, for its controller.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Secret with the certificate that the Ingress presents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_name: Option<String>,
}

/// An HTTPRoute of the Gateway API (gateway.networking.k8s.io/v1) for the public port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The Gateways that route to the queue.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentRef>,
}

/// A Gateway of the Gateway API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Defaults to that of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// One of its listeners. Defaults to all that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}
