//! The EQL language server: what the compiler knows, in the editor.
//!
//! In: an editor that speaks the Language Server Protocol over a pair of streams. Out: diagnostics with fixes, hover texts,
//! completions and formatting for `.eql` files and for the two public TOML rule forms. Every judgement is the compiler's: this crate
//! finds the place and the words, and never has an opinion of its own about a rule.
//!
//! ```text
//! transport ── server ── documents ── analysis       text → what the compiler found, once per change
//!                 │                     ├─ hover       ┐
//!                 └─ protocol           ├─ fixes       ├ one file a feature: plain data in, plain data out
//!                    (its types)        ├─ completion  │
//!                                       └─ formatting  ┘
//! ```
//!
//! Architecture invariant: only `protocol.rs` knows the protocol's types, only `server.rs` and `transport.rs` know about
//! waiting, and only `settings.rs` reads a file. Positions inside are byte ranges of the file.
#![deny(missing_docs)]

pub mod analysis;
pub mod completion;
pub mod documents;
pub mod fixes;
pub mod formatting;
pub mod hover;
pub mod positions;
mod protocol;
mod server;
pub mod settings;
mod transport;
mod words;

pub use server::serve;
