//! A control plane of its own for these tests: etcd, API server and controllers on free ports, gone with the last test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config, CustomResourceExt as _};

use crate::assets;
use crate::wait::until;

const TOKEN: &str = "control-plane-tests";
/// No process outlives this, whatever becomes of the tests.
const LIFE: &str = "1800";

/// A running control plane.
pub struct Cluster {
    folder: tempfile::TempDir,
    api: u16,
    processes: Mutex<Vec<Child>>,
}

/// The one that runs, shared by the tests that run at the same time.
pub async fn shared() -> Arc<Cluster> {
    static RUNNING: tokio::sync::Mutex<Weak<Cluster>> = tokio::sync::Mutex::const_new(Weak::new());
    let mut running = RUNNING.lock().await;
    if let Some(cluster) = running.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(Cluster::start().await);
    *running = Arc::downgrade(&cluster);
    cluster
}

impl Cluster {
    async fn start() -> Self {
        let programs = assets::folder();
        let folder = tempfile::tempdir().unwrap();
        let [etcd, peers, api] = free_ports();
        let cluster = Self { folder, api, processes: Mutex::default() };
        cluster.etcd(&programs, etcd, peers);
        cluster.api_server(&programs, etcd);
        let client = cluster.client();
        until("the API server to be ready", Duration::from_secs(120), async || {
            cluster.all_run();
            client.request_text(http::Request::get("/readyz").body(Vec::new()).unwrap()).await.is_ok()
        })
        .await;
        cluster.controllers(&programs);
        cluster.install_crd().await;
        cluster
    }

    /// How to reach it, as its administrator.
    pub fn config(&self) -> Config {
        let mut config = Config::new(format!("https://127.0.0.1:{}", self.api).parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo { token: Some(TOKEN.to_owned().into()), ..AuthInfo::default() };
        config
    }

    /// A client without limits.
    pub fn client(&self) -> Client {
        Client::try_from(self.config()).unwrap()
    }

    /// A process that has ended will not become ready: say why at once.
    fn all_run(&self) {
        for child in self.processes.lock().unwrap().iter_mut() {
            if let Some(status) = child.try_wait().unwrap() {
                let logs = ["etcd", "kube-apiserver"].map(|name| std::fs::read_to_string(self.path(name)));
                panic!("a part of the control plane ended with {status}: {logs:?}");
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &Path, arguments: &[String]) {
        let log = std::fs::File::create(self.path(&program.file_name().unwrap().to_string_lossy())).unwrap();
        let child = Command::new("timeout")
            .arg(LIFE)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.processes.lock().unwrap().push(child);
    }

    fn etcd(&self, programs: &Path, port: u16, peers: u16) {
        let (clients, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
        self.run(
            &programs.join("etcd"),
            &[
                format!("--data-dir={}", self.path("data").display()),
                format!("--listen-client-urls={clients}"),
                format!("--advertise-client-urls={clients}"),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=default={peers}"),
                "--unsafe-no-fsync".to_owned(),
                "--log-level=warn".to_owned(),
            ],
        );
    }

    fn api_server(&self, programs: &Path, etcd: u16) {
        let (key, public) = (self.path("accounts.key"), self.path("accounts.pub"));
        let tokens = self.path("tokens.csv");
        let pair = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        std::fs::write(&public, pair.public_key_pem()).unwrap();
        std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n")).unwrap();
        self.run(
            &programs.join("kube-apiserver"),
            &[
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
                "--service-cluster-ip-range=10.0.0.0/20".to_owned(),
            ],
        );
    }

    /// Only what ownership, scaling and CronJobs need; there are no nodes.
    fn controllers(&self, programs: &Path) {
        let kubeconfig = self.path("kubeconfig");
        let server = format!("https://127.0.0.1:{}", self.api);
        std::fs::write(
            &kubeconfig,
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n\
                 users: [{{name: u, user: {{token: {TOKEN}}}}}]\n"
            ),
        )
        .unwrap();
        self.run(
            &programs.join("kube-controller-manager"),
            &[
                format!("--kubeconfig={}", kubeconfig.display()),
                "--leader-elect=false".to_owned(),
                "--secure-port=0".to_owned(),
                "--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,cronjob-controller".to_owned(),
            ],
        );
    }

    async fn install_crd(&self) {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client());
        let crd = bookingq_api::BookingQueue::crd();
        let parameters = PatchParams::apply("tests").force();
        crds.patch("bookingqueues.bookingqueue.dev", &parameters, &Patch::Apply(&crd)).await.unwrap();
        until("the CRD to be established", Duration::from_secs(30), async || {
            let crd = crds.get("bookingqueues.bookingqueue.dev").await.unwrap();
            let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
            conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
        })
        .await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.processes.lock().unwrap().iter_mut().rev() {
            // `timeout` passes the signal on to what it runs.
            if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            }
            child.wait().ok();
        }
    }
}

/// Ports that were free a moment ago.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
