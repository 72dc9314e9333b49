//! The frame of every process: admin port, metrics registry, TLS files, signals, drain.
