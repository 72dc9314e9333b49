//! A Kubernetes control plane without nodes: etcd, API server and controllers on free ports. It
//! ends when dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config};
use serde_json::json;

use crate::port::free_addresses;
use crate::process::Process;
use crate::spec::ProcessSpec;
use crate::wait::until;

/// The environment variable with the folder of the three programs.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";
const API_SERVER: &str = "kube-apiserver";
const PROGRAMS: [&str; 3] = ["etcd", API_SERVER, "kube-controller-manager"];
/// Files of the API server.
const KEY: &str = "accounts.key";
const PUBLIC_KEY: &str = "accounts.pub";
const TOKENS: &str = "tokens.csv";
const AUDIT_POLICY: &str = "audit-policy.yaml";
const HELP: &str = "`cargo xtask test -p bookingq-operator` and `cargo xtask trial` find or build them; or set \
KUBEBUILDER_ASSETS to a folder that has etcd, kube-apiserver and kube-controller-manager. See tests/control-plane/README.md.";

/// The administrator. The controllers run as this user.
const ADMIN: &str = "admin";
/// The users of operators, one each, so that the audit log distinguishes them.
pub const OPERATORS: [&str; 2] = ["operator-1", "operator-2"];
/// The controllers of every control plane.
const CONTROLLERS: &str =
    "deployment-controller,replicaset-controller,garbage-collector-controller,cronjob-controller";
/// Longest wait for each step of the start.
const START: Duration = Duration::from_secs(120);

/// A running control plane.
pub struct ControlPlane {
    api: SocketAddr,
    etcd: SocketAddr,
    /// Each is stopped before those that it depends on, except an API server that was started
    /// again.
    processes: Vec<Process>,
    folder: tempfile::TempDir,
}

impl ControlPlane {
    /// Starts it, installs the CustomResourceDefinition, and waits until it is ready.
    ///
    /// # Errors
    /// When a program is missing or does not become ready; the error ends with its log.
    pub async fn start(crd: &CustomResourceDefinition) -> Result<Self> {
        Self::start_with(crd, &[]).await
    }

    /// The same, with further controllers, such as `statefulset-controller`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(crd: &CustomResourceDefinition, further: &[&str]) -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        let [etcd, peers, api] = free_addresses()?;
        let mut this = Self { api, etcd, processes: Vec::new(), folder };
        this.etcd(&programs, etcd, peers)?;
        this.credentials()?;
        this.api_server(&programs)?;
        this.ready().await?;
        this.controllers(&programs, further)?;
        this.install(crd).await?;
        Ok(this)
    }

    /// Installs a further CustomResourceDefinition, and waits until it is served.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn install(&self, crd: &CustomResourceDefinition) -> Result<()> {
        install_crd(&self.client()?, crd).await
    }

    /// Waits until the API server is ready.
    async fn ready(&self) -> Result<()> {
        let client = self.client()?;
        until("the API server to be ready", START, async || {
            // A process that has ended will not become ready: fail at once.
            self.processes.iter().try_for_each(Process::check_running)?;
            let ready = http::Request::get("/readyz").body(Vec::new())?;
            anyhow::Ok(client.request_text(ready).await.is_ok())
        })
        .await
    }

    /// Kills the API server: connections are refused. Everything else goes on.
    pub fn kill_api_server(&mut self) {
        self.processes.retain(|process| process.name() != API_SERVER);
    }

    /// Starts it again after [`Self::kill_api_server`], and waits until it is ready.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.api_server(&programs()?)?;
        self.ready().await
    }

    /// Stops the API server for a while: connections stay open, and nothing is answered.
    pub fn freeze_api_server(&self, time: Duration) {
        let servers = self.processes.iter().filter(|process| process.name() == API_SERVER);
        servers.for_each(|server| server.freeze(time));
    }

    /// The client configuration of its administrator.
    pub fn config(&self) -> Config {
        let address = format!("https://{}", self.api);
        let mut config = Config::new(http::Uri::try_from(address).unwrap_or_default());
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo { token: Some(ADMIN.to_owned().into()), ..AuthInfo::default() };
        config
    }

    /// A client of its administrator.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config())?)
    }

    /// Writes a kubeconfig for this user and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self, user: &str) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "clusters": [{ "name": "c", "cluster": {
                "server": format!("https://{}", self.api), "insecure-skip-tls-verify": true } }],
            "users": [{ "name": "u", "user": { "token": user } }],
        });
        let path = self.path(&format!("kubeconfig-{user}"));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// The API server's audit log of the operators' requests.
    pub fn audit_log(&self) -> PathBuf {
        self.path("audit.log")
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&mut self, program: &Path, arguments: &[String]) -> Result<()> {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
        let mut spec = ProcessSpec::new(name.clone(), program).arguments(arguments);
        spec.log = Some(self.path(&name));
        self.processes.insert(0, Process::start(spec)?);
        Ok(())
    }

    fn etcd(&mut self, programs: &Path, clients: SocketAddr, peers: SocketAddr) -> Result<()> {
        let (clients, peers) = (format!("http://{clients}"), format!("http://{peers}"));
        let arguments = [
            format!("--data-dir={}", self.path("data").display()),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        self.run(&programs.join("etcd"), &arguments)
    }

    /// The files that the API server reads.
    fn credentials(&self) -> Result<()> {
        let pair = rcgen::KeyPair::generate()?;
        std::fs::write(self.path(KEY), pair.serialize_pem())?;
        std::fs::write(self.path(PUBLIC_KEY), pair.public_key_pem())?;
        let users = [ADMIN].into_iter().chain(OPERATORS);
        let users: Vec<String> =
            users.map(|user| format!("{user},{user},{user},system:masters\n")).collect();
        std::fs::write(self.path(TOKENS), users.concat())?;
        std::fs::write(self.path(AUDIT_POLICY), audit_policy())?;
        Ok(())
    }

    fn api_server(&mut self, programs: &Path) -> Result<()> {
        let arguments = [
            format!("--etcd-servers=http://{}", self.etcd),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.api.port()),
            format!("--cert-dir={}", self.path("certificates").display()),
            format!("--token-auth-file={}", self.path(TOKENS).display()),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", self.path(PUBLIC_KEY).display()),
            format!("--service-account-signing-key-file={}", self.path(KEY).display()),
            // Room for the three Services of each of thousands of queues.
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            format!("--audit-log-path={}", self.audit_log().display()),
            format!("--audit-policy-file={}", self.path(AUDIT_POLICY).display()),
            // A request is in the log before its answer.
            "--audit-log-mode=blocking".to_owned(),
        ];
        self.run(&programs.join(API_SERVER), &arguments)
    }

    /// Only the controllers that ownership, scaling and CronJobs need. Their rate limits are high,
    /// because a trial measures the operator.
    fn controllers(&mut self, programs: &Path, further: &[&str]) -> Result<()> {
        let all = [CONTROLLERS].iter().chain(further).copied().collect::<Vec<_>>().join(",");
        let arguments = [
            format!("--kubeconfig={}", self.kubeconfig(ADMIN)?.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--kube-api-qps=300".to_owned(),
            "--kube-api-burst=600".to_owned(),
            format!("--controllers={all}"),
        ];
        self.run(&programs.join("kube-controller-manager"), &arguments)
    }
}

/// Logs every request of the operators, and the body of those that scale.
fn audit_policy() -> String {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "Request", "users": OPERATORS, "resources": [{ "group": "apps", "resources": ["deployments/scale"] }] },
            { "level": "Metadata", "users": OPERATORS },
            { "level": "None" },
        ],
    })
    .to_string()
}

async fn install_crd(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd.metadata.name.clone().unwrap_or_default();
    crds.patch(&name, &PatchParams::apply("trial").force(), &Patch::Apply(crd)).await?;
    until("the CRD to be established", START, async || {
        let conditions =
            crds.get(&name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        anyhow::Ok(
            conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True"),
        )
    })
    .await
}

fn programs() -> Result<PathBuf> {
    let folder = std::env::var_os(ASSETS)
        .map(PathBuf::from)
        .with_context(|| format!("{ASSETS} is not set. {HELP}"))?;
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|program| !folder.join(program).is_file()).collect();
    if !missing.is_empty() {
        bail!("{ASSETS} ({}) has no {missing:?}. {HELP}", folder.display());
    }
    Ok(folder)
}
