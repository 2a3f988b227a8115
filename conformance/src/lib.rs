//! Conformance: suites as data, and one runner that gives each case to every runtime.
//!
//! A suite is a TOML file below `suites/`: events, and cases of a query with the matches or the diagnostics that the
//! language guide says it has. A case is compiled once; then every runtime must find the same, unless the case says why
//! one of them cannot. The format is described at [`Suite`].

pub mod agree;
pub mod allocations;
pub mod batch;
pub mod generate;
pub mod replay;
pub mod runner;
pub mod scale;
pub mod suite;

pub use runner::{CaseOutcome, RUNTIMES, run_case};
pub use suite::{Case, Suite};
