//! A replay in threads: stage one by chunks of documents, side by side; everything that depends on the past in one place.
//!
//! ```text
//! files ─▶ reader ─▶ Chunk of documents ─▶ Worker: decode, stage one ─▶ Session: order, stage two, alerts
//!         a thread                         N threads, chunks in turn     the caller, chunks in order
//! ```
//!
//! In: inputs, and workers made for a session. Out: chunks with the answers of stage one, which
//! [`Replay::take_chunk`](super::Replay::take_chunk) has the session take in order. What an event is told, its number
//! included, depends on nothing but the events before it, so that alerts are the same for any number of threads.

mod chunk;
pub mod pipeline;
mod worker;

pub use chunk::{Chunk, ChunkItem, ChunkLimits, feed_failure, feed_input};
pub use pipeline::{Feed, PipelineError};
pub use worker::Worker;
