//! libkestrel: the C API of compiler and engine, version 0.
//!
//! In: rules, packs and documents as bytes of the caller. Out: a status for each call, handles, and alerts as lines of
//! JSON through a callback. What the functions promise to C is written in `include/kestrel.h`, for people in
//! `docs/c-api.md`; a test keeps header and code together. No live sources, no files, no threads of its own.
//!
//! ```text
//! rule texts ─ kestrel_compile ─▶ kestrel_compilation ─ bytes ─▶ kestrel_pack_open ─▶ kestrel_pack
//!                                                                                         │ kestrel_engine_new
//! documents ─ kestrel_engine_feed, kestrel_engine_finish ─▶ kestrel_engine ◀──────────────┘
//!                                                               └─▶ alert callback
//! ```
//!
//! Every entry point goes through `boundary.rs`, which turns pointers into Rust values after checking what can be
//! checked, and lets no panic out.
//!
//! INVARIANT: a handle is only reached through a shared reference; what changes in it is behind a lock that is tried and
//! never waited for. So a callback that comes back with its own engine, or a second thread, gets
//! [`KestrelStatus::Busy`] and not undefined behaviour.

mod boundary;
#[expect(unsafe_code, reason = "C entry points: exported names, and handles that the caller owns")]
mod compile;
#[expect(unsafe_code, reason = "C entry points: exported names, and handles that the caller owns")]
mod engine;
#[expect(unsafe_code, reason = "C entry points: exported names, and handles that the caller owns")]
mod pack;
mod status;
#[expect(unsafe_code, reason = "C entry points: exported names")]
mod version;

pub use compile::{
    KESTREL_COMPILE_KEEP_GOING, KestrelCompilation, KestrelRuleFile, kestrel_compilation_diagnostics,
    kestrel_compilation_error, kestrel_compilation_free, kestrel_compilation_pack, kestrel_compile,
};
pub use engine::{
    KestrelAlertCallback, KestrelCounters, KestrelEngine, kestrel_engine_counters, kestrel_engine_error,
    kestrel_engine_feed, kestrel_engine_finish, kestrel_engine_free, kestrel_engine_new,
};
pub use pack::{
    KestrelPack, kestrel_pack_content_hash, kestrel_pack_error, kestrel_pack_free, kestrel_pack_manifest,
    kestrel_pack_open,
};
pub use status::KestrelStatus;
pub use version::{KESTREL_API_VERSION, kestrel_api_version, kestrel_version};
