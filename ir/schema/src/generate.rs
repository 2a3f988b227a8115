//! Writes what other parts need to know of the schema: Rust tables, the kernel programs' header, and a document.
//!
//! In: a [`Source`], read from `fields.toml` and `kinds.toml`. Out: the text of three files; [`host_api`] is apart. Everything here is a pure function;
//! `cargo xtask schema` does the writing. Behind the feature `generate`, because nobody needs it at run time.
//!
//! ```text
//!   fields.toml, kinds.toml ── Source::parse (checks, expands sets) ──┬─ generate_rust      ir/schema/src/generated.rs
//!                                                                     ├─ generate_c_header  bpf/include/kestrel_schema.h
//!                                                                     └─ generate_docs      docs/event-schema.md
//! ```

mod c_header;
mod document;
pub mod host_api;
mod rust_tables;
mod source;

pub use c_header::generate_c_header;
pub use document::generate_docs;
pub use rust_tables::generate_rust;
pub use source::{Source, SourceError};

/// A generated file: where it lies, from the workspace's root, and what writes it.
pub type Generated = (&'static str, fn(&Source) -> String);

/// All generated files.
pub const GENERATED: [Generated; 3] = [
    ("ir/schema/src/generated.rs", generate_rust),
    ("bpf/include/kestrel_schema.h", generate_c_header),
    ("docs/event-schema.md", generate_docs),
];
