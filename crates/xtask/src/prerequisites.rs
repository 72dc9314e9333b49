//! Programs that a command needs beside Rust. Everything that is missing is reported at once,
//! before anything compiles, with the command that installs it.

use std::env::consts;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::shell;

/// The release that the installation command downloads; `go.mod` files ask for 1.25 or newer.
const GO_VERSION: &str = "1.26.8";

/// A program on the PATH.
#[derive(Debug)]
pub struct Tool {
    /// Its name.
    pub program: &'static str,
    /// Why it is needed.
    pub purpose: &'static str,
    /// How it is installed.
    pub install: Install,
}

/// How a tool is installed.
#[derive(Debug)]
pub enum Install {
    /// A command that only root of a Debian system may run.
    Debian(&'static str),
    /// A command that needs no rights.
    Anyone(&'static str),
    /// A download, left to the user.
    User(fn() -> String),
}

/// Redis.
pub const REDIS: Tool = Tool {
    program: "redis-server",
    purpose: "the tests start Redis servers of their own (7.0 or newer)",
    install: Install::Debian("apt-get install -y redis-server"),
};

/// libfaketime.
pub const FAKETIME: Tool = Tool {
    program: "faketime",
    purpose: "in fault runs the clocks of workers and of Redis jump",
    install: Install::Debian("apt-get install -y faketime"),
};

/// Node and npm, which come together as a rule.
pub const NODE: Tool = Tool {
    program: "npm",
    purpose: "the tests of the page are Node programs (Node 20 or newer)",
    install: Install::Debian("apt-get install -y nodejs npm"),
};

/// Python, with `venv`.
pub const PYTHON: Tool = Tool {
    program: "python3",
    purpose: "clients of the gateway are Python programs (Python 3.11 or newer)",
    install: Install::Debian("apt-get install -y python3 python3-venv"),
};

/// Chromium.
pub const CHROMIUM: Tool = Tool {
    program: "chromium",
    purpose: "the page is tested in it",
    install: Install::Debian("apt-get install -y chromium"),
};

/// Go.
pub const GO: Tool = Tool {
    program: "go",
    purpose: "it compiles the control plane of the operator's tests, helm and the linearizability \
              checker (1.25 or newer)",
    install: Install::User(|| {
        let os = if consts::OS == "macos" { "darwin" } else { consts::OS };
        let arch = if consts::ARCH == "x86_64" { "amd64" } else { "arm64" };
        format!(
            "curl -fsSL https://go.dev/dl/go{GO_VERSION}.{os}-{arch}.tar.gz | tar -xzC /usr/local && export \
             PATH=$PATH:/usr/local/go/bin"
        )
    }),
};

/// Java.
pub const JAVA: Tool = Tool {
    program: "java",
    purpose: "Kafka's brokers are Java programs (17 or newer)",
    install: Install::Debian("apt-get install -y openjdk-17-jre-headless"),
};

/// Maven.
pub const MAVEN: Tool = Tool {
    program: "mvn",
    purpose: "it downloads the jars of Kafka",
    install: Install::Debian("apt-get install -y maven"),
};

/// The headers of OpenSSL, which are no program: `pkg-config` knows whether they are there.
pub const OPENSSL: Tool = Tool {
    program: "libssl-dev",
    purpose: "librdkafka, the client of Kafka, speaks TLS by OpenSSL (3.0 or newer)",
    install: Install::Debian("apt-get install -y libssl-dev pkg-config"),
};

/// Helm.
pub const HELM: Tool = Tool {
    program: "helm",
    purpose: "it renders and installs the chart (Helm 3)",
    install: Install::Anyone("go install helm.sh/helm/v3/cmd/helm@v3.22.0"),
};

/// A server of S3.
pub const VERSITYGW: Tool = Tool {
    program: "versitygw",
    purpose: "backups are tested in a bucket of it; without it these tests are skipped",
    install: Install::Anyone("go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"),
};

/// promtool. Its module has `replace` directives, so that `go install` refuses it.
pub const PROMTOOL: Tool = Tool {
    program: "promtool",
    purpose: "it tests the alerts of the chart (2.42 or newer)",
    install: Install::Debian("apt-get install -y prometheus"),
};

/// cargo-deny. Unoptimized, because compiling it takes longer than it ever runs.
pub const CARGO_DENY: Tool = Tool {
    program: "cargo-deny",
    purpose: "it checks licences and advisories of dependencies",
    install: Install::Anyone("cargo install --locked --debug cargo-deny@0.20.2"),
};

/// Installs the tools that are missing, after it has reported all of them and `notices`. Installs
/// nothing when the user has to install something first.
pub fn provide(tools: &[&Tool], notices: impl IntoIterator<Item = String>) -> Result<()> {
    let missing: Vec<_> = tools.iter().filter(|tool| !tool.is_there()).collect();
    for tool in &missing {
        eprintln!("{}", tool.report());
    }
    for notice in notices {
        eprintln!("{notice}");
    }
    let refused: Vec<_> = missing.iter().filter(|tool| tool.installer().is_none()).collect();
    if !refused.is_empty() {
        let commands: Vec<_> = refused.iter().map(|tool| tool.command()).collect();
        bail!("install what is missing, then run this again:\n  {}", commands.join("\n  "));
    }
    for tool in missing {
        tool.install()?;
    }
    Ok(())
}

impl Tool {
    /// Whether it is installed.
    fn is_there(&self) -> bool {
        if self.program != OPENSSL.program {
            return shell::has(self.program);
        }
        let asked = Command::new("pkg-config").args(["--exists", "openssl >= 3.0"]).status();
        asked.is_ok_and(|status| status.success())
    }

    /// Fails, with the command that installs it, if it is missing.
    pub fn require(&self) -> Result<()> {
        if !self.is_there() {
            bail!("{} is missing; install it: {}", self.program, self.command());
        }
        Ok(())
    }

    /// One line: what is missing, and what happens now.
    pub fn report(&self) -> String {
        let missing = format!("{} is missing: {}", self.program, self.purpose);
        self.installer().map_or(missing.clone(), |line| format!("{missing}; installed now: {line}"))
    }

    /// The command that installs it.
    pub fn command(&self) -> String {
        match self.install {
            Install::Debian(line) if self.installer().is_none() => format!("sudo {line}"),
            Install::Debian(line) | Install::Anyone(line) => line.to_owned(),
            Install::User(line) => line(),
        }
    }

    /// The command that this process may run.
    fn installer(&self) -> Option<&'static str> {
        match self.install {
            Install::Debian(line) => is_debian_root().then_some(line),
            Install::Anyone(line) => Some(line),
            Install::User(_) => None,
        }
    }

    fn install(&self) -> Result<()> {
        let line = self.installer().unwrap_or_default();
        // A package list that is missing or old is the usual reason for a first failure.
        if let Err(error) = run(line) {
            if !line.starts_with("apt-get") {
                return Err(error);
            }
            run("apt-get update")?;
            run(line)?;
        }
        if !self.is_there() {
            bail!(
                "`{line}` installed {} outside of the PATH; for Go's programs: export \
                 PATH=$PATH:$(go env GOPATH)/bin",
                self.program
            );
        }
        Ok(())
    }
}

fn is_debian_root() -> bool {
    let root = || shell::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    shell::has("apt-get") && root()
}

fn run(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    // No questions, and no redis-server as a service: the tests choose free ports.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    shell::run(&mut command)
}
