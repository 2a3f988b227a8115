//! The control socket: a running engine answers questions about itself.
//!
//! In: requests, one JSON object a line, over a unix socket that only its owner may use. Out: one line for each. The run
//! loop answers between its batches; a thread of its own does the waiting, so that no client holds up a run and nothing
//! but the run loop touches the rules. Another waits with the client that wants other packs, so that others are answered.
//!
//! ```text
//! ctl ── line ──▶ thread: accept, read, parse ── channel of two ──▶ run loop: Control::asked
//!     ◀─ line ──          write                ◀── answer ──────────
//! ```
//!
//! | bound | |
//! |---|---|
//! | a request | 64 KiB, and [`CLIENT_TIME`] for all requests of a client together, beside the time that answers take |
//! | requests of one client | 64 |
//! | clients | one at a time, and one that waits for other packs; the operating system lets a few wait |
//! | an answer | at most [`MAX_LIMIT`] keys, with as many endings each |

mod client;
mod protocol;
mod server;
mod socket;

use std::time::Duration;

pub use client::{ControlError, ask};
pub use protocol::{ExplainRequest, MAX_LIMIT, Request, Response, parse_request};
pub use server::{Control, Question, RunState};
pub use socket::SocketError;

/// The longest request, in bytes.
pub const MAX_REQUEST: u64 = 64 << 10;
/// The longest answer that a client reads, in bytes.
pub const MAX_RESPONSE: u64 = 64 << 20;
/// How long one client may take.
pub const CLIENT_TIME: Duration = Duration::from_secs(10);
/// How long a run loop may take to answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long it may take until other packs run: their code has to be compiled.
pub const RELOAD_TIME: Duration = Duration::from_secs(120);
