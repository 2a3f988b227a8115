//! Files that are generated from a source in the project: written, or compared with what they should be.
//!
//! In: each file's name and a function that makes its text, given what is there now. Out: the files, or a report of the
//! stale ones.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// Writes the files; with `check` compares them instead and names each stale one. `chore` is the command that writes them.
///
/// # Errors
/// When a file cannot be written, or, with `check`, a file is stale.
pub fn write(
    chore: &str,
    check: bool,
    names: impl IntoIterator<Item = &'static str>,
    generate: impl Fn(usize, &str) -> String,
) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's root")?;
    let (mut stale, mut files) = (0, 0);
    for (number, name) in names.into_iter().enumerate() {
        files += 1;
        let path = root.join(name);
        // A file that is not there yet is stale like any other.
        let found = fs::read_to_string(&path).unwrap_or_default();
        let wanted = generate(number, &found);
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
        bail!("{stale} of {files} generated files are stale; `cargo xtask {chore}` writes them");
    }
    Ok(())
}
