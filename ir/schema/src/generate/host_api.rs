//! Writes what the host API's table says: for the compiler and the engine, for authors in C, Rust and Lua, for people.
//!
//! In: a [`HostApiSource`], read from `host_api.toml`. Out: the text of six files. Pure functions; `cargo xtask host-api`
//! does the writing. The document is written by hand above a marker; only what stands behind it is generated.

mod bindings;
mod document;
mod rust_table;
mod source;

pub use bindings::{generate_c_header, generate_lua_prelude, generate_rust_bindings, generate_wit};
pub use document::generate_reference;
pub use rust_table::generate_rust_table;
pub use source::{HostApiError, HostApiSource};

/// A generated file: where it lies, from the workspace's root, and what writes it, given the text that is there now.
pub type GeneratedFrom = (&'static str, fn(&HostApiSource, &str) -> String);

/// All files that are generated from the host API's table.
pub const HOST_API_FILES: [GeneratedFrom; 6] = [
    ("ir/schema/src/host_api/generated.rs", |source, _| generate_rust_table(source)),
    ("docs/host-api.wit", |source, _| generate_wit(source)),
    ("docs/host-api.md", generate_reference),
    ("engine/include/kestrel_predicate.h", |source, _| generate_c_header(source)),
    ("engine/include/kestrel_predicate.rs", |source, _| generate_rust_bindings(source)),
    ("engine/src/program/prelude.lua", |source, _| generate_lua_prelude(source)),
];

/// `event_get_text` as `EventGetText`.
fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let mut characters = word.chars();
        characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect::<String>()
    };
    name.split('_').map(capital).collect()
}
