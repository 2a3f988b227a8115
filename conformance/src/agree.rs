//! Agreement of all runtimes: random packs and events, random rules and streams, every answer compared with the
//! interpreter's, differences made small and kept as cases.
//!
//! ```text
//! seed ─▶ generate ─▶ ask (every runtime, in every way) ─▶ compare ─┬─▶ tally
//!                                                                   └─▶ shrink ─▶ found/cases.toml
//! ```
//!
//! A *pair* is one predicate on one event, answered by the interpreter and by every runtime in every way. A *stream* is
//! one list of events that went through the rules of one pack, once for every runtime. `docs/agreement.md` says how to
//! run it.

pub mod ask;
pub mod case;
pub mod found;
pub mod pairs;
pub mod prune;
pub mod run;
pub mod shrink;
pub mod streams;
pub mod tally;

pub use case::{Case, Difference, Judged};
pub use tally::Tally;
