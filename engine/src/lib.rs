//! The host engine: sources, runtimes, matching, alerts, replay and control.

pub mod config;
pub mod control;
pub mod doctor;
pub mod explain;
pub mod input;
pub mod klog;
pub mod live;
pub mod process_table;
pub mod program;
pub mod query;
pub mod runtime;
pub mod session;
pub mod sinks;
pub mod stats;
