//! The cluster that a command talks to.

use std::time::Duration;

use bookingq_api::BookingQueue;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::KubeConfigOptions;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use serde_json::{Value, json};

use crate::error::PluginError;

/// The name of the program as kubectl calls it, and the manager of the fields that it writes.
pub const PROGRAM: &str = "kubectl-bookingqueue";

/// Longest wait for a connection, and for an answer of the API server.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);

/// Which cluster and namespace.
#[derive(Debug, clap::Args)]
pub struct ClusterFlags {
    /// Namespace of the queue [default: that of the context]
    #[arg(short, long, env = "BOOKINGQ_PLUGIN_NAMESPACE", global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, env = "BOOKINGQ_PLUGIN_CONTEXT", global = true, value_name = "CONTEXT")]
    context: Option<String>,
}

/// A cluster, and the namespace to look in.
#[derive(Clone)]
pub struct Cluster {
    /// Calls its API server.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Cluster {
    /// The cluster of the kubeconfig. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no kubeconfig, no such context, or its certificates are unusable.
    pub async fn connect(flags: &ClusterFlags) -> Result<Self, PluginError> {
        let options =
            KubeConfigOptions { context: flags.context.clone(), ..KubeConfigOptions::default() };
        let mut config = Config::from_kubeconfig(&options).await?;
        (config.connect_timeout, config.read_timeout) = (Some(CONNECT), Some(ANSWER));
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config);
        Ok(Self { client: client.map_err(PluginError::asked("the kubeconfig"))?, namespace })
    }

    /// The objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One queue.
    ///
    /// # Errors
    /// When it does not exist, or the API server refuses.
    pub async fn queue(&self, name: &str) -> Result<BookingQueue, PluginError> {
        let found = self.api::<BookingQueue>().get_opt(name).await;
        found.map_err(PluginError::asked("the BookingQueue"))?.ok_or_else(|| PluginError::NoQueue {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
        })
    }

    /// Sets a field of a queue's spec; `what` names it in an error.
    ///
    /// # Errors
    /// When the queue does not exist, or the API server refuses.
    pub(crate) async fn set_spec(
        &self,
        name: &str,
        (field, what): (&str, &'static str),
        value: Value,
    ) -> Result<(), PluginError> {
        self.queue(name).await?;
        let patch = Patch::Merge(json!({ "spec": { field: value } }));
        let parameters =
            PatchParams { field_manager: Some(PROGRAM.to_owned()), ..PatchParams::default() };
        let patched = self.api::<BookingQueue>().patch(name, &parameters, &patch).await;
        patched.map(drop).map_err(PluginError::asked(what))
    }

    /// All queues of the namespace.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn queues(&self) -> Result<Vec<BookingQueue>, PluginError> {
        let found = self.api::<BookingQueue>().list(&ListParams::default()).await;
        Ok(found.map_err(PluginError::asked("the BookingQueues"))?.items)
    }
}
