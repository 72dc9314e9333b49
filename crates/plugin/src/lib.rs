//! `kubectl bookingqueue`: commands for the people who run queues on a cluster. The program
//! `bookingq` runs them when it is called `kubectl-bookingqueue`, which is how kubectl finds it.
//!
//! ```text
//!   status ─┐               ┌─> page (what is so, and what waits for what)
//!   why    ─┼─> QueueFacts ─┼─> explanation (the last scaling, replayed)
//!   report ─┘   (cluster)   '─> archive ──> Redaction (leaves secrets out)
//!   top, pause, open, close, hibernate, resume, backup ──> cluster
//! ```

pub mod admission;
mod archive;
pub mod backup;
pub mod cluster;
mod error;
pub mod explanation;
pub mod facts;
pub mod hibernation;
pub mod page;
pub mod redaction;
pub mod report;
mod span;
pub mod top;

use std::io::Write as _;

use bookingq_api::spec::AdmissionSpec;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

pub use crate::cluster::PROGRAM;
use crate::cluster::{Cluster, ClusterFlags};
pub use crate::error::PluginError;
use crate::facts::QueueFacts;

/// The queues of a cluster, for the people who run them.
#[derive(Debug, Parser)]
#[command(
    name = PROGRAM,
    bin_name = "kubectl bookingqueue",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  kubectl bookingqueue status concert
  kubectl bookingqueue why concert -n tickets
  kubectl bookingqueue report concert > concert.tar.gz
  kubectl bookingqueue pause concert

Finds the cluster as kubectl does: by KUBECONFIG or ~/.kube/config."
)]
pub struct PluginCli {
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(subcommand)]
    verb: PluginVerb,
}

#[derive(Debug, Subcommand)]
enum PluginVerb {
    /// Show a queue: its line, what runs, and what waits for what
    #[command(after_help = "Example:  kubectl bookingqueue status concert")]
    Status(Named),
    /// Say why the queue has as many workers as it has, and replay the decision
    #[command(after_help = "Example:  kubectl bookingqueue why concert")]
    Why(Named),
    /// List the queues with their lines and workers
    #[command(after_help = "Example:  kubectl bookingqueue top")]
    Top,
    /// Serve none of the line; clients may join (spec.admission: Paused)
    #[command(after_help = "Example:  kubectl bookingqueue pause concert")]
    Pause(Named),
    /// Let clients join and serve the line (spec.admission: Open)
    #[command(after_help = "Example:  kubectl bookingqueue open concert")]
    Open(Named),
    /// Let no client join; the line is served (spec.admission: Closed)
    #[command(after_help = "Example:  kubectl bookingqueue close concert")]
    Close(Named),
    /// Put a queue to sleep: no workers, no sweepers; its data stays (spec.hibernate: true)
    #[command(after_help = "Example:  kubectl bookingqueue hibernate concert")]
    Hibernate(hibernation::HibernateArgs),
    /// Wake a queue that sleeps (spec.hibernate: false)
    #[command(after_help = "Example:  kubectl bookingqueue resume concert")]
    Resume(Named),
    /// Take a backup of a queue with a managed Redis, and wait for it
    #[command(after_help = "Example:  kubectl bookingqueue backup concert --claim concert-backups")]
    Backup(backup::BackupArgs),
    /// Write an archive for support to standard output: objects, events, logs, metrics; no secrets
    #[command(after_help = "Example:  kubectl bookingqueue report concert > concert.tar.gz")]
    Report(report::ReportArgs),
    /// Print the script that completes these commands in a shell
    #[command(after_help = "Example:  source <(kubectl bookingqueue completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Name of the BookingQueue
    #[arg(value_name = "NAME")]
    name: String,
}

impl PluginCli {
    /// Runs the command. TLS needs a cryptography provider, which the caller has installed.
    ///
    /// # Errors
    /// [`PluginError`], with the object that is missing or what the API server refused.
    pub async fn run(self) -> Result<(), PluginError> {
        if let PluginVerb::Completions { shell } = self.verb {
            let mut command = Self::command();
            clap_complete::generate(shell, &mut command, PROGRAM, &mut std::io::stdout());
            return Ok(());
        }
        let cluster = Cluster::connect(&self.cluster).await?;
        let text = match self.verb {
            PluginVerb::Status(Named { name }) => {
                page::page(&QueueFacts::read(&cluster, &name).await?, jiff::Timestamp::now())
            }
            PluginVerb::Why(Named { name }) => {
                explanation::explain(&QueueFacts::read(&cluster, &name).await?)
            }
            PluginVerb::Top => top::table(&cluster.queues().await?),
            PluginVerb::Pause(Named { name }) => {
                admission::set(&cluster, &name, AdmissionSpec::Paused).await?
            }
            PluginVerb::Open(Named { name }) => {
                admission::set(&cluster, &name, AdmissionSpec::Open).await?
            }
            PluginVerb::Close(Named { name }) => {
                admission::set(&cluster, &name, AdmissionSpec::Closed).await?
            }
            PluginVerb::Hibernate(args) => hibernation::hibernate(&cluster, &args).await?,
            PluginVerb::Resume(Named { name }) => hibernation::resume(&cluster, &name).await?,
            PluginVerb::Backup(args) => {
                backup::take(&cluster, &args, |line| eprintln!("{line}")).await?
            }
            PluginVerb::Report(args) => {
                let archive = report::report(&cluster, &args).await?;
                std::io::stdout().write_all(&archive)?;
                return Ok(());
            }
            PluginVerb::Completions { .. } => return Ok(()),
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}
