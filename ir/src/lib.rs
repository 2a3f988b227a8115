//! The contracts of Kestrel: events, frames, the typed IR with its verifier, text form and reference interpreter, guards
//! and packs.
//!
//! Goes in: typed trees from the compiler, events from a source. Comes out: an [`Ir`](model::Ir) that every backend
//! translates, the answer that every runtime is judged against, and the one file a rule travels in. This crate does no
//! IO and knows no backend, no compiler and no engine.
//!
//! ```text
//! event::Event ──FrameBuilder──▶ frame bytes ──▶ interp (semantics of record), Wasm, LuaJIT
//!                     ▲
//!               layout::Layout ◀── model::Ir ──verify──▶ pack::Pack
//! ```

pub mod cidr;
pub mod cut;
pub mod event;
pub mod event_json;
pub mod fold;
pub mod frame;
pub mod functions;
pub mod guards;
pub mod interp;
pub mod layout;
pub mod model;
mod names;
pub mod pack;
pub mod passes;
pub mod pattern;
pub mod regex;
pub mod render;
pub mod text;
pub mod time;
pub mod value;
pub mod verify;
