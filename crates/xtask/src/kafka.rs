//! Finds the jars of Kafka for the tests: in the environment, or in the user's cache, where Maven
//! copies them from Maven Central once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context as _, Result};

use crate::control_plane::cache;
use crate::prerequisites::{self, JAVA, MAVEN, OPENSSL};
use crate::{shell, tree};

/// What the tests read.
pub const JARS: &str = "BOOKINGQ_KAFKA_JARS";

/// The module that pins the releases.
const MODULE: &str = "tests/kafka";

/// Whether a program with these options is to use Kafka.
pub fn is_wanted(options: &[String]) -> bool {
    options.iter().any(|option| option == "--store=kafka")
        || options.windows(2).any(|pair| pair == ["--store", "kafka"])
}

/// The folder of the jars, and whether they are there.
pub struct KafkaJars {
    folder: PathBuf,
    version: String,
}

/// Finds the jars, and downloads them if they are missing.
pub fn folder() -> Result<PathBuf> {
    let jars = KafkaJars::find()?;
    let maven = jars.notice().map(|_| &MAVEN);
    let tools: Vec<_> = [&JAVA, &OPENSSL].into_iter().chain(maven).collect();
    prerequisites::provide(&tools, jars.notice())?;
    jars.provide()
}

impl KafkaJars {
    /// In the folder that the environment names, if it has them; otherwise in the cache.
    pub fn find() -> Result<Self> {
        let file = format!("{MODULE}/pom.xml");
        let pom = tree::read(&file)?;
        let after = pom.split("<artifactId>kafka_2.13</artifactId>").nth(1).unwrap_or_default();
        let version = after.split("<version>").nth(1).and_then(|rest| rest.split('<').next());
        let version = version.with_context(|| format!("{file} pins no kafka_2.13"))?.to_owned();
        let named = std::env::var_os(JARS).map(PathBuf::from);
        let folder = match named.filter(|folder| folder.is_absolute() && has_jars(folder, &version))
        {
            Some(folder) => folder,
            None => cache()?.join("bookingq/kafka").join(&version),
        };
        Ok(Self { folder, version })
    }

    /// What [`Self::provide`] will download, if anything.
    pub fn notice(&self) -> Option<String> {
        let Self { folder, version } = self;
        (!has_jars(folder, version)).then(|| {
            format!(
                "Kafka {version} is missing; downloaded now from Maven Central (43 MB) into {}",
                folder.display()
            )
        })
    }

    /// Downloads the jars if they are missing. Safe to run twice at once: the folder appears whole.
    pub fn provide(self) -> Result<PathBuf> {
        let Self { folder, version } = self;
        if has_jars(&folder, &version) {
            return Ok(folder);
        }
        let unfinished = folder.with_file_name(format!("{version}.{}.part", process::id()));
        let mut maven = Command::new("mvn");
        maven.args(["-B", "-q", "-f"]).arg(tree::root().join(MODULE).join("pom.xml"));
        maven.arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies");
        maven.arg(format!("-DoutputDirectory={}", unfinished.display()));
        shell::run(&mut maven)?;
        if let Err(error) = fs::rename(&unfinished, &folder) {
            fs::remove_dir_all(&unfinished).ok();
            if !has_jars(&folder, &version) {
                let folder = folder.display().to_string();
                return Err(error).with_context(|| format!("cannot write {folder}"));
            }
        }
        Ok(folder)
    }
}

fn has_jars(folder: &Path, version: &str) -> bool {
    folder.join(format!("kafka_2.13-{version}.jar")).is_file()
}
