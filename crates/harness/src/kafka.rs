//! Kafka brokers on free ports, each with its own data directory. They can be killed, frozen and
//! restarted on the same data, and end with this process.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::HarnessError;
use crate::port::free_address;
use crate::process::Process;
use crate::sentinels::hosts;
use crate::spec::{ProcessEvent, ProcessSpec, Restart};

/// The release of Kafka that `tests/kafka/pom.xml` pins.
pub const KAFKA_VERSION: &str = "4.4.0";

/// Names the folder with Kafka's jars.
pub const KAFKA_JARS: &str = "BOOKINGQ_KAFKA_JARS";

/// Longest wait for a broker to accept connections.
const START: Duration = Duration::from_secs(60);
/// How often a start that waits looks whether it was given up.
const STEP: Duration = Duration::from_millis(100);
/// Another process may take a port between our choice and the start.
const ATTEMPTS: u32 = 3;
/// The id of all clusters that this module starts: each is alone on its ports.
const CLUSTER_ID: &str = "Ym9va2luZ3EtdGVzdHMtMQ";
/// A small heap, and no time for optimizing: a broker of a test lives for seconds.
const JVM: [&str; 4] = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN"];

/// Brokers of one cluster, which are its controllers too. Killed when dropped.
#[derive(Debug)]
pub struct KafkaCluster {
    brokers: Vec<Broker>,
    /// Removed with it, unless the options name another one.
    _directory: Option<TempDir>,
}

#[derive(Debug)]
struct Broker {
    address: SocketAddr,
    spec: ProcessSpec,
    process: Process,
}

/// How to run a cluster.
#[derive(Debug, Clone, Default)]
pub struct KafkaOptions {
    /// The folder with Kafka's jars; `None`: the one that the environment names, or the user's
    /// cache.
    pub jars: Option<PathBuf>,
    /// What clients speak with the brokers, and the brokers among themselves.
    pub protocol: KafkaProtocol,
    /// Users that log in by SCRAM: mechanism, name and password.
    pub users: Vec<(&'static str, String, String)>,
    /// A program that runs each broker, such as `taskset`, with its arguments.
    pub wrapper: Vec<OsString>,
    /// Where data and logs of the brokers are kept, in a folder for each; `None`: for as long as
    /// the cluster runs.
    pub directory: Option<PathBuf>,
    /// What happens when a broker ends.
    pub restart: Restart,
    /// Where each broker listens, and where others are to reach it; free ports for those that are
    /// not named.
    pub addresses: Vec<BrokerAddress>,
    /// Lines of `server.properties` beside those that every broker has.
    pub properties: Vec<(String, String)>,
    /// Set by others to give up a start, which then fails soon and leaves no broker running.
    pub given_up: Arc<AtomicBool>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KafkaProtocol {
    /// Plain text, without a login.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// A login, in plain text.
    SaslPlaintext,
    /// A login, by TLS.
    SaslSsl,
}

impl KafkaProtocol {
    /// Its name in Kafka's settings.
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// The addresses of a broker.
#[derive(Debug, Clone, Copy)]
pub struct BrokerAddress {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where clients and the other brokers are to reach it, perhaps through a proxy.
    pub advertised: SocketAddr,
}

impl BrokerAddress {
    fn free() -> Result<Self, HarnessError> {
        let listen = free_address()?;
        Ok(Self { listen, advertised: listen })
    }
}

/// The folder with Kafka's jars: `named`, or the one that the environment names, or the user's
/// cache. The error names the command that makes it.
fn jars(named: Option<&Path>) -> Result<PathBuf, HarnessError> {
    let absolute = |name| {
        std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let cached = cache.map(|cache| cache.join("bookingq/kafka").join(KAFKA_VERSION));
    let named = named.map(Path::to_owned).or_else(|| absolute(KAFKA_JARS));
    let folder = named.or(cached).unwrap_or_default();
    if folder.join(format!("kafka_2.13-{KAFKA_VERSION}.jar")).is_file() {
        return Ok(folder);
    }
    let cause = format!(
        "{} has no jars of Kafka {KAFKA_VERSION}; `cargo xtask setup --kafka` downloads them",
        folder.display()
    );
    Err(HarnessError::Start { name: "kafka".to_owned(), cause: std::io::Error::other(cause) })
}

impl KafkaCluster {
    /// Starts `brokers` brokers and waits until each accepts connections.
    ///
    /// # Errors
    /// When there are no jars or no Java, or a broker does not start.
    pub fn start(brokers: usize) -> Result<Self, HarnessError> {
        Self::start_with(brokers, &KafkaOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As those of [`Self::start`].
    pub fn start_with(brokers: usize, options: &KafkaOptions) -> Result<Self, HarnessError> {
        Self::start_reporting(brokers, options, |_| ())
    }

    /// The same; reports what happens to the brokers to `on_event`.
    ///
    /// # Errors
    /// As those of [`Self::start`].
    pub fn start_reporting(
        brokers: usize,
        options: &KafkaOptions,
        on_event: impl Fn(ProcessEvent) + Clone + Send + 'static,
    ) -> Result<Self, HarnessError> {
        let jars = jars(options.jars.as_deref())?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match Self::attempt(brokers, &jars, options, &on_event) {
                Err(HarnessError::Ended { .. }) if attempt < ATTEMPTS => {}
                result => return result,
            }
        }
    }

    fn attempt(
        brokers: usize,
        jars: &Path,
        options: &KafkaOptions,
        on_event: &(impl Fn(ProcessEvent) + Clone + Send + 'static),
    ) -> Result<Self, HarnessError> {
        let (folder, directory) = if let Some(folder) = &options.directory {
            (folder.clone(), None)
        } else {
            let directory = tempfile::tempdir()?;
            (directory.path().to_owned(), Some(directory))
        };
        let address =
            |node| options.addresses.get(node).copied().map_or_else(BrokerAddress::free, Ok);
        let ports = (0..brokers)
            .map(|node| Ok((address(node)?, free_address()?)))
            .collect::<Result<Vec<_>, HarnessError>>()?;
        let voters: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(node, (_, controller))| format!("{}@{controller}", node + 1))
            .collect();
        let mut files = Vec::with_capacity(brokers);
        for (node, addresses) in ports.iter().enumerate() {
            let folder = folder.join(format!("broker-{}", node + 1));
            // An attempt before this one has left its own there.
            std::fs::remove_dir_all(&folder).ok();
            std::fs::create_dir_all(&folder)?;
            let file = folder.join("server.properties");
            std::fs::write(&file, properties(node + 1, *addresses, &voters, &folder, options))?;
            files.push(file);
        }
        format(&files, jars, &options.users)?;
        check_given_up(options)?;
        let mut started = Vec::with_capacity(brokers);
        for (node, file) in files.iter().enumerate() {
            let address = ports[node].0;
            let mut spec = broker(node + 1, address.listen, file, jars, &options.wrapper);
            spec.restart = options.restart;
            let address = address.advertised;
            let process = Process::start_with(spec.clone(), on_event.clone())?;
            started.push(Broker { address, spec, process });
        }
        for broker in &started {
            wait_ready(&broker.process, options)?;
        }
        Ok(Self { brokers: started, _directory: directory })
    }

    /// Where the brokers are reached, separated by commas.
    pub fn bootstrap(&self) -> String {
        hosts(self.brokers.iter().map(|broker| broker.address))
    }

    /// The address of a store on these brokers.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.bootstrap())
    }

    /// The number of brokers.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// The processes of all brokers.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.brokers.iter().map(|broker| &broker.process)
    }

    /// The process of a broker, by its index. Its node id is one more.
    pub fn process(&self, broker: usize) -> &Process {
        &self.brokers[broker].process
    }

    /// SIGKILL. It stays down.
    pub fn kill(&mut self, broker: usize) {
        self.brokers[broker].process.kill();
    }

    /// Starts a broker again on the same ports and data, and waits until it accepts connections.
    ///
    /// # Errors
    /// When it does not.
    pub fn restart(&mut self, broker: usize) -> Result<(), HarnessError> {
        let Broker { process, spec, .. } = &mut self.brokers[broker];
        *process = Process::start(spec.clone())?;
        process.wait_ready(START)
    }

    /// Stops all brokers, one after the other.
    pub async fn stop(self) {
        for broker in self.brokers {
            broker.process.stop().await;
        }
    }
}

/// Fails once the start was given up.
fn check_given_up(options: &KafkaOptions) -> Result<(), HarnessError> {
    if options.given_up.load(Ordering::SeqCst) {
        let cause = std::io::Error::other("the start was given up");
        return Err(HarnessError::Start { name: "kafka".to_owned(), cause });
    }
    Ok(())
}

/// Waits until a broker accepts connections, or the start is given up.
fn wait_ready(process: &Process, options: &KafkaOptions) -> Result<(), HarnessError> {
    let until = Instant::now() + START;
    loop {
        match process.wait_ready(STEP) {
            Err(HarnessError::NotReady { .. }) if Instant::now() < until => {
                check_given_up(options)?;
            }
            Err(HarnessError::NotReady { name, log, .. }) => {
                return Err(HarnessError::NotReady { name, limit: START, log });
            }
            result => return result,
        }
    }
}

fn properties(
    node: usize,
    (address, controller): (BrokerAddress, SocketAddr),
    voters: &[String],
    folder: &Path,
    options: &KafkaOptions,
) -> String {
    let BrokerAddress { listen, advertised } = address;
    let protocol = options.protocol.name();
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id={node}\n\
         controller.quorum.voters={}\n\
         listeners={protocol}://{listen},CONTROLLER://{controller}\n\
         advertised.listeners={protocol}://{advertised}\n\
         inter.broker.listener.name={protocol}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocol}:{protocol}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         num.network.threads=2\n\
         num.io.threads=2\n\
         log.cleaner.enable=false\n\
         offsets.topic.replication.factor={}\n",
        voters.join(","),
        folder.join("data").display(),
        // Clients ask for the coordinator of a group, which needs this topic.
        voters.len()
    );
    for (name, value) in &options.properties {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

/// Formats the data directories of all brokers at once.
fn format(
    files: &[PathBuf],
    jars: &Path,
    users: &[(&str, String, String)],
) -> Result<(), HarnessError> {
    let failed = |cause| HarnessError::Start { name: "java".to_owned(), cause };
    let mut running = Vec::with_capacity(files.len());
    for file in files {
        let mut java = Command::new("java");
        java.args(JVM).arg("-cp").arg(jars.join("*"));
        java.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(file);
        for (mechanism, name, password) in users {
            java.arg("--add-scram").arg(format!("{mechanism}=[name={name},password={password}]"));
        }
        java.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        running.push(java.stderr(std::process::Stdio::piped()).spawn().map_err(failed)?);
    }
    for child in running {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            return Err(failed(std::io::Error::other(format!("formatting failed: {said}"))));
        }
    }
    Ok(())
}

fn broker(
    node: usize,
    address: SocketAddr,
    file: &Path,
    jars: &Path,
    wrapper: &[OsString],
) -> ProcessSpec {
    let mut words = wrapper.to_vec();
    words.push("java".into());
    let program = words.remove(0);
    let mut spec = ProcessSpec::new(format!("kafka-{node}"), program)
        .arguments(words)
        .arguments(JVM)
        .arguments(["-cp".into(), jars.join("*").into_os_string(), "kafka.Kafka".into()])
        .arguments([file.as_os_str()]);
    spec.log = Some(file.with_file_name("broker.log"));
    spec.port = Some(address);
    spec.grace = Duration::from_secs(10);
    spec
}
