//! Runs processes for tests and tools: one supervised process, redis-server, a control plane.
