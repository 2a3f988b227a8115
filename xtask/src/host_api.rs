//! `cargo xtask host-api`: writes the files that are generated from the host API's table, or says which of them are stale.
//!
//! In: `ir/schema/host_api.toml`, read by `kestrel_schema::generate::host_api`. Out: the files of `HOST_API_FILES`, or a
//! report of the stale ones.

use kestrel_schema::generate::host_api::{HOST_API_FILES, HostApiSource};

use crate::generated;

/// Writes the generated files; with `check` compares them instead and names each stale one.
///
/// # Errors
/// When the table is wrong, a file cannot be written, or, with `check`, a file is stale.
pub fn run(check: bool) -> anyhow::Result<()> {
    let source = HostApiSource::built_in()?;
    let names = HOST_API_FILES.iter().map(|(name, _)| *name);
    generated::write("host-api", check, names, |number, found| HOST_API_FILES[number].1(&source, found))?;
    println!("host API: {} functions, generated files are fresh", source.function_count());
    Ok(())
}
