//! `cargo xtask schema`: writes the files that are generated from the schema's source, or says which of them are stale.
//!
//! In: `ir/schema/fields.toml` and `ir/schema/kinds.toml`, read by `kestrel_schema::generate`. Out: the files of
//! `kestrel_schema::generate::GENERATED`, or a report of the stale ones.

use kestrel_schema::generate::{GENERATED, Source};

use crate::generated;

/// Writes the generated files; with `check` compares them instead and names each stale one.
///
/// # Errors
/// When the schema's source is wrong, a file cannot be read or written, or, with `check`, a file is stale.
pub fn run(check: bool) -> anyhow::Result<()> {
    let source = Source::built_in()?;
    let names = GENERATED.iter().map(|(name, _)| *name);
    generated::write("schema", check, names, |number, _| GENERATED[number].1(&source))?;
    println!("schema: {} fields, {} event kinds, generated files are fresh", source.field_count(), source.kind_count());
    Ok(())
}
