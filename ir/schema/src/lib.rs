//! The field and event schema: one source of truth for the compiler, the engine, the kernel programs and the documentation.
//!
//! ```text
//!   fields.toml ──┐               ┌─> src/generated.rs             (this crate's static tables)
//!                 ├─ generate.rs ─┼─> bpf/include/kestrel_schema.h (kernel programs)
//!   kinds.toml  ──┘               └─> docs/event-schema.md         (people)
//! ```
//!
//! In go names; out come types ([`Schema::lookup`]), suggestions ([`Schema::nearest`]), event kinds ([`event_kind`]) and a hash
//! that packs, logs and kernel programs compare ([`Schema::hash`]). A schema file of the user's own ([`Schema::from_toml`])
//! replaces or extends what is built in. This crate reads no files and knows nothing of events' values.
//!
//! The generated files are checked in; `cargo xtask schema` writes them again and a test says when they are stale.
//!
//! ```
//! use kestrel_schema::{FieldType, Schema};
//!
//! let schema = Schema::ecs();
//! let field = schema.lookup("process.parent.args").expect("ECS has this field");
//! assert_eq!(field.field_type, FieldType::Keyword);
//! assert!(field.array);
//! assert_eq!(schema.nearest("process.nmae", 1), ["process.name"]);
//! ```
#![deny(missing_docs)]

mod digest;
mod field;
mod file;
mod generated;
pub mod host_api;
mod kind;
mod nearest;
mod schema;

#[cfg(feature = "generate")]
pub mod generate;

pub use field::{Family, FieldDef, FieldInfo, FieldType, UnknownFieldType, ecs_fields};
pub use file::{SchemaError, SchemaProblem};
pub use kind::{EventKind, event_kind, event_kind_by_id, event_kinds, known_categories};
pub use schema::{EventFields, Schema, TimestampFormat, UnknownTimestampFormat};
