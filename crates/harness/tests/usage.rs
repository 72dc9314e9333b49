//! CPU and memory of a process.
#![allow(clippy::unwrap_used)]

use bookingq_harness::ProcessUsage;

#[test]
fn a_running_process_has_memory_cpu_time_and_files() {
    let usage = ProcessUsage::of(std::process::id()).unwrap();
    assert!(usage.rss_mib > 0.5 && usage.peak_mib >= usage.rss_mib, "{usage:?}");
    assert!(usage.cpu >= 0.0 && usage.files >= 3, "{usage:?}");
    assert!(ProcessUsage::of(u32::MAX).is_err());
}
