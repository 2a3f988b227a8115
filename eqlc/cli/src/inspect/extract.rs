//! Taking a pack apart: one section to standard output, or all of them into a folder.
//!
//! ```text
//! DIR/manifest.json  ir.txt  module.wasm  predicates.lua  programs/…  sources/…  tests/…
//! ```
//!
//! The paths in a pack were checked when it was read: they stay below their folder. No file is written over.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use kestrel_ir::pack::{Pack, PackFile};
use kestrel_ir::text;

use crate::build::plural;
use crate::pack_file::write_new;
use crate::report::tell;

/// Takes a section or everything out.
pub fn extract(pack: &Pack, wanted: &Path) -> anyhow::Result<()> {
    match wanted.to_str() {
        Some("manifest") => print(manifest(pack)?.as_bytes()),
        Some("ir") => print(text::print(pack.ir()).as_bytes()),
        Some("module.wasm") => {
            let module = pack.module().context("the pack has no `module.wasm`")?;
            if std::io::stdout().is_terminal() {
                bail!("`module.wasm` is not text; send standard output to a file");
            }
            print(module)
        }
        Some("predicates.lua") => print(pack.predicates().context("the pack has no `predicates.lua`")?.as_bytes()),
        Some(what @ ("sources" | "tests" | "filters" | "signature")) => {
            bail!("`{what}` is no single text; name a folder, such as `./out`, and everything is written there")
        }
        _ => into_folder(pack, wanted),
    }
}

fn manifest(pack: &Pack) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(pack.manifest())? + "\n")
}

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

fn into_folder(pack: &Pack, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let mut entries = folder.read_dir().with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    if entries.next().is_some() {
        bail!("the folder `{}` is not empty", folder.display());
    }
    let manifest = manifest(pack)?;
    let ir = text::print(pack.ir());
    let mut files: Vec<(String, &[u8])> =
        vec![("manifest.json".to_owned(), manifest.as_bytes()), ("ir.txt".to_owned(), ir.as_bytes())];
    files.extend(pack.module().map(|module| ("module.wasm".to_owned(), module)));
    files.extend(pack.predicates().map(|source| ("predicates.lua".to_owned(), source.as_bytes())));
    let below = |folder: &str, file: &PackFile| format!("{folder}/{}", file.path);
    files.extend(pack.sources().iter().map(|file| (below("sources", file), file.text.as_bytes())));
    files.extend(pack.tests().iter().map(|file| (below("tests", file), file.text.as_bytes())));
    // A program's name is its author's; here it only tells one file from another.
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    for (number, program) in pack.programs().iter().enumerate() {
        let name: String =
            program.name.chars().take(64).map(|character| if plain(character) { character } else { '_' }).collect();
        files.push((format!("programs/{number}-{name}"), &program.bytes));
    }
    for (name, content) in &files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
        }
        write_new(&path, 0o644, |file| file.write_all(content))?;
    }
    tell!("{} written to {}", plural(files.len(), "file"), folder.display());
    Ok(())
}
