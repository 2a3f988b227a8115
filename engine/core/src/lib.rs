//! Dispatch, matching and state: no IO, no threads, no clock and no unsafe code.
//!
//! Goes in: a verified IR and events in order. Comes out: matches and the alerts made of them. Live runs, replays,
//! tests, the editor and the C library all use this one matcher; where events come from and where alerts go is not its
//! concern.

#![forbid(unsafe_code)]

pub mod alert;
pub mod atoms;
pub mod batch;
pub mod dispatch;
pub mod evidence;
pub mod key;
pub mod lineage;
pub mod matcher;
pub mod pipes;
mod plan;
pub mod program;
pub mod progress;
pub mod ranked;
pub mod router;
pub mod runtime;
mod sample;
pub mod sequence;
pub mod shard;
pub mod stage_one;
pub mod stage_two;
pub mod store;
mod timers;
