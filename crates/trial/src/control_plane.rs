//! A control plane of its own: etcd, API server and controllers on free ports, gone when dropped.
//! There are no nodes.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config, CustomResourceExt as _};
use serde_json::json;

use crate::process::end;
use crate::wait::until;

/// Where the three programs are.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";
const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];
const HELP: &str = "`cargo xtask test -p bookingq-operator` and `cargo xtask trial` find or build them; or set \
KUBEBUILDER_ASSETS to a folder that has etcd, kube-apiserver and kube-controller-manager. See tests/control-plane/README.md.";

/// The administrator, who is also the controllers.
const ADMIN: &str = "admin";
/// Operators, each a user of its own, so that the audit log tells them apart.
pub const OPERATORS: [&str; 2] = ["operator-1", "operator-2"];
/// No process outlives this, whatever becomes of ours.
const LIFE: &str = "7200";
const START: Duration = Duration::from_secs(120);

/// A running control plane.
pub struct ControlPlane {
    folder: tempfile::TempDir,
    api: u16,
    processes: Vec<Child>,
}

impl ControlPlane {
    /// Starts it, with the CustomResourceDefinition, and waits until it is ready.
    ///
    /// # Errors
    /// When a program is missing or does not become ready; its last words are in the error.
    pub async fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        let [etcd, peers, api] = free_ports()?;
        let mut this = Self { folder, api, processes: Vec::new() };
        this.etcd(&programs, etcd, peers)?;
        this.api_server(&programs, etcd)?;
        let client = this.client()?;
        until("the API server to be ready", START, async || {
            this.all_run()?;
            let ready = http::Request::get("/readyz").body(Vec::new())?;
            Ok(client.request_text(ready).await.is_ok())
        })
        .await?;
        this.controllers(&programs)?;
        install_crd(&client).await?;
        Ok(this)
    }

    /// How to reach it, as its administrator.
    pub fn config(&self) -> Config {
        let address = format!("https://127.0.0.1:{}", self.api);
        let mut config = Config::new(http::Uri::try_from(address).unwrap_or_default());
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo { token: Some(ADMIN.to_owned().into()), ..AuthInfo::default() };
        config
    }

    /// A client without limits.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config())?)
    }

    /// A kubeconfig of this user.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self, user: &str) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "clusters": [{ "name": "c", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.api), "insecure-skip-tls-verify": true } }],
            "users": [{ "name": "u", "user": { "token": user } }],
        });
        let path = self.path(&format!("kubeconfig-{user}"));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// What the API server noted of the operators' requests.
    pub fn audit_log(&self) -> PathBuf {
        self.path("audit.log")
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A process that has ended will not become ready: say why at once.
    fn all_run(&mut self) -> Result<()> {
        for child in &mut self.processes {
            if let Some(status) = child.try_wait()? {
                let logs =
                    PROGRAMS.map(|name| std::fs::read_to_string(self.folder.path().join(name)));
                bail!("a part of the control plane ended with {status}: {logs:?}");
            }
        }
        Ok(())
    }

    fn run(&mut self, program: &Path, arguments: &[String]) -> Result<()> {
        let name =
            program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let log = File::create(self.path(&name))?;
        let child = Command::new("timeout")
            .arg(LIFE)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        self.processes.push(child);
        Ok(())
    }

    fn etcd(&mut self, programs: &Path, port: u16, peers: u16) -> Result<()> {
        let (clients, peers) =
            (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
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

    fn api_server(&mut self, programs: &Path, etcd: u16) -> Result<()> {
        let (key, public) = (self.path("accounts.key"), self.path("accounts.pub"));
        let (tokens, policy) = (self.path("tokens.csv"), self.path("audit-policy.yaml"));
        let pair = rcgen::KeyPair::generate()?;
        std::fs::write(&key, pair.serialize_pem())?;
        std::fs::write(&public, pair.public_key_pem())?;
        let users = [ADMIN].into_iter().chain(OPERATORS);
        let users: Vec<String> =
            users.map(|user| format!("{user},{user},{user},system:masters\n")).collect();
        std::fs::write(&tokens, users.concat())?;
        std::fs::write(&policy, audit_policy())?;
        let arguments = [
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.api),
            format!("--cert-dir={}", self.path("certificates").display()),
            format!("--token-auth-file={}", tokens.display()),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", public.display()),
            format!("--service-account-signing-key-file={}", key.display()),
            // Room for the three Services of each of thousands of queues.
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            format!("--audit-log-path={}", self.audit_log().display()),
            format!("--audit-policy-file={}", policy.display()),
            // Noted before it is answered.
            "--audit-log-mode=blocking".to_owned(),
        ];
        self.run(&programs.join("kube-apiserver"), &arguments)
    }

    /// Only what ownership, scaling and CronJobs need. Their rate limits are raised: they are not
    /// what is tried.
    fn controllers(&mut self, programs: &Path) -> Result<()> {
        let arguments = [
            format!("--kubeconfig={}", self.kubeconfig(ADMIN)?.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--kube-api-qps=300".to_owned(),
            "--kube-api-burst=600".to_owned(),
            "--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,cronjob-controller".to_owned(),
        ];
        self.run(&programs.join("kube-controller-manager"), &arguments)
    }
}

/// Of the operators everything but what they read of the discovery; of scaling also the number.
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

async fn install_crd(client: &Client) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let crd = bookingq_api::BookingQueue::crd();
    let name = crd.metadata.name.clone().unwrap_or_default();
    crds.patch(&name, &PatchParams::apply("trial").force(), &Patch::Apply(&crd)).await?;
    until("the CRD to be established", START, async || {
        let conditions =
            crds.get(&name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        Ok(conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True"))
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

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().rev() {
            // `timeout` passes the signal on to what it runs.
            end(child);
        }
    }
}

/// Ports that were free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind("127.0.0.1:0")?);
    }
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
