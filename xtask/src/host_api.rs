//! `cargo xtask host-api`: writes the files that are generated from the host API's table, or says which of them are stale.
//!
//! In: `ir/schema/host_api.toml`, read by `kestrel_schema::generate::host_api`. Out: the files of `HOST_API_FILES`, or a
//! report of the stale ones.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use kestrel_schema::generate::host_api::{HOST_API_FILES, HostApiSource};

/// Writes the generated files; with `check` compares them instead and names each stale one.
///
/// # Errors
/// When the table is wrong, a file cannot be written, or, with `check`, a file is stale.
pub fn run(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's root")?;
    let source = HostApiSource::built_in()?;
    let mut stale = 0;
    for (name, generate) in HOST_API_FILES {
        let path = root.join(name);
        let found = fs::read_to_string(&path).unwrap_or_default();
        let wanted = generate(&source, &found);
        if found == wanted {
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
        bail!("{stale} of {} generated files are stale; `cargo xtask host-api` writes them", HOST_API_FILES.len());
    }
    println!("host API: {} functions, generated files are fresh", source.function_count());
    Ok(())
}
