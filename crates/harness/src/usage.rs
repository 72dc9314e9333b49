//! CPU and memory of a process, as Linux reports them in /proc.

use std::fs;
use std::io;

/// Clock ticks per second in /proc, the same on every Linux (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessUsage {
    /// Resident memory now, in MiB.
    pub rss_mib: f64,
    /// Highest resident memory so far, in MiB.
    pub peak_mib: f64,
    /// CPU since its start, in seconds.
    pub cpu: f64,
    /// Open files, sockets included.
    pub files: usize,
}

impl ProcessUsage {
    /// Of the process with this ID.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let folder = format!("/proc/{pid}");
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let mib = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).ok_or_else(|| missing(field))
        };
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The name in parentheses may contain blanks. User and system time are the 12th and 13th
        // word after it.
        let words: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let seconds = |index: usize| {
            let ticks = words.get(index).and_then(|word| word.parse::<f64>().ok());
            ticks.map(|ticks| ticks / TICKS).ok_or_else(|| missing("CPU time"))
        };
        Ok(Self {
            rss_mib: mib("VmRSS:")?,
            peak_mib: mib("VmHWM:")?,
            cpu: seconds(11)? + seconds(12)?,
            files: fs::read_dir(format!("{folder}/fd"))?.count(),
        })
    }
}

/// A zombie has no memory any more.
fn missing(field: &str) -> io::Error {
    io::Error::other(format!("/proc does not report {field} of the process; has it ended?"))
}
