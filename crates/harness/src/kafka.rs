//! Kafka brokers on free ports, each with its own data directory. They can be killed, frozen and
//! restarted on the same data, and end with this process.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::error::HarnessError;
use crate::port::free_address;
use crate::process::Process;
use crate::sentinels::hosts;
use crate::spec::ProcessSpec;

/// The release of Kafka that `tests/kafka/pom.xml` pins.
const KAFKA_VERSION: &str = "4.4.0";

/// Names the folder with Kafka's jars.
const KAFKA_JARS: &str = "BOOKINGQ_KAFKA_JARS";

/// Longest wait for a broker to accept connections.
const START: Duration = Duration::from_secs(60);
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
    /// Removed with it.
    _directory: TempDir,
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
    /// What clients speak with the brokers, and the brokers among themselves.
    pub protocol: KafkaProtocol,
    /// Users that log in by SCRAM: mechanism, name and password.
    pub users: Vec<(&'static str, String, String)>,
    /// Lines of `server.properties` beside those that every broker has.
    pub properties: Vec<(String, String)>,
    /// Added to the environment of each broker, by its index.
    pub environment: Vec<Vec<(&'static str, OsString)>>,
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

/// The folder with Kafka's jars: the one that the environment names, or the user's cache. The error
/// names the command that makes it.
fn jars() -> Result<PathBuf, HarnessError> {
    let absolute = |name| {
        std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let cached = cache.map(|cache| cache.join("bookingq/kafka").join(KAFKA_VERSION));
    let folder = absolute(KAFKA_JARS).or(cached).unwrap_or_default();
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
        let jars = jars()?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match Self::attempt(brokers, &jars, options) {
                Err(HarnessError::Ended { .. }) if attempt < ATTEMPTS => {}
                result => return result,
            }
        }
    }

    fn attempt(brokers: usize, jars: &Path, options: &KafkaOptions) -> Result<Self, HarnessError> {
        let directory = tempfile::tempdir()?;
        let ports = (0..brokers)
            .map(|_| Ok((free_address()?, free_address()?)))
            .collect::<Result<Vec<_>, HarnessError>>()?;
        let voters: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(node, (_, controller))| format!("{}@{controller}", node + 1))
            .collect();
        let mut files = Vec::with_capacity(brokers);
        for (node, addresses) in ports.iter().enumerate() {
            let folder = directory.path().join(format!("broker-{}", node + 1));
            std::fs::create_dir(&folder)?;
            let file = folder.join("server.properties");
            std::fs::write(&file, properties(node + 1, *addresses, &voters, &folder, options))?;
            files.push(file);
        }
        format(&files, jars, &options.users)?;
        let mut started = Vec::with_capacity(brokers);
        for (node, file) in files.iter().enumerate() {
            let environment = options.environment.get(node).cloned().unwrap_or_default();
            let address = ports[node].0;
            let spec = broker(node + 1, address, file, jars, environment);
            started.push(Broker { address, process: Process::start(spec.clone())?, spec });
        }
        for broker in &started {
            broker.process.wait_ready(START)?;
        }
        Ok(Self { brokers: started, _directory: directory })
    }

    /// Where the brokers listen, separated by commas.
    pub fn bootstrap(&self) -> String {
        hosts(self.brokers.iter().map(|broker| broker.address))
    }

    /// The number of brokers.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
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
}

fn properties(
    node: usize,
    (address, controller): (SocketAddr, SocketAddr),
    voters: &[String],
    folder: &Path,
    options: &KafkaOptions,
) -> String {
    let protocol = options.protocol.name();
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id={node}\n\
         controller.quorum.voters={}\n\
         listeners={protocol}://{address},CONTROLLER://{controller}\n\
         advertised.listeners={protocol}://{address}\n\
         inter.broker.listener.name={protocol}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocol}:{protocol}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         num.network.threads=2\n\
         num.io.threads=2\n\
         log.cleaner.enable=false\n",
        voters.join(","),
        folder.join("data").display()
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
    environment: Vec<(&'static str, OsString)>,
) -> ProcessSpec {
    let mut spec = ProcessSpec::new(format!("kafka-{node}"), "java")
        .arguments(JVM)
        .arguments(["-cp".into(), jars.join("*").into_os_string(), "kafka.Kafka".into()])
        .arguments([file.as_os_str()]);
    spec.environment = environment;
    spec.log = Some(file.with_file_name("broker.log"));
    spec.port = Some(address);
    spec.grace = Duration::from_secs(10);
    spec
}
