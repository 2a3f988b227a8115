//! `cargo xtask schema`: writes the files that are generated from the schema's source, or says which of them are stale.
//!
//! In: `ir/schema/fields.toml` and `ir/schema/kinds.toml`, read by `kestrel_schema::generate`. Out: the files of
//! `kestrel_schema::generate::GENERATED`, or a report of the stale ones.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use kestrel_schema::generate::{GENERATED, Source};

/// Writes the generated files; with `check` compares them instead and names each stale one.
///
/// # Errors
/// When the schema's source is wrong, a file cannot be read or written, or, with `check`, a file is stale.
pub fn run(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's root")?;
    let source = Source::built_in()?;
    let mut stale = 0;
    for (name, generate) in GENERATED {
        let path = root.join(name);
        let wanted = generate(&source);
        // A file that is not there yet is stale like any other.
        if fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
            continue;
        }
        if check {
            println!("stale: {name}");
            stale += 1;
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&path, wanted).with_context(|| format!("cannot write {}", path.display()))?;
        println!("written: {name}");
    }
    if stale > 0 {
        bail!("{stale} of {} generated files are stale; `cargo xtask schema` writes them", GENERATED.len());
    }
    println!("schema: {} fields, {} event kinds, generated files are fresh", source.field_count(), source.kind_count());
    Ok(())
}
