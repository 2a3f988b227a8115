//! Packs and keys as files: reading them with limits, writing them whole.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use kestrel_ir::pack::{MAX_PACK_SIZE, Pack, PrivateKey, PublicKey};

use crate::report::tell;

/// The bytes of a pack's file, one more than allowed at most, so that the pack itself says that it is too large.
pub fn read_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_PACK_SIZE + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(bytes)
}

/// Reads and checks a pack.
pub fn open_pack(path: &Path) -> anyhow::Result<Pack> {
    Pack::read(&read_bytes(path)?).with_context(|| format!("`{}` is refused", path.display()))
}

/// A pack's content hash as people compare it.
pub fn hash_text(pack: &Pack) -> String {
    pack.content_hash().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a key file's private key. That others can read it too is told and no error: where permissions mean nothing, the
/// key is still needed.
pub fn read_private_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let file = open(path)?;
    let mode = file.metadata().map_or(0, |about| about.permissions().mode());
    let key = PrivateKey::read(file).with_context(|| format!("`{}` is refused", path.display()))?;
    if mode & 0o077 != 0 {
        tell!("warning: others can read the private key `{}`; `chmod 600` keeps it yours", path.display());
    }
    Ok(key)
}

/// Reads a key file's public key.
pub fn read_public_key(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::read(open(path)?).with_context(|| format!("`{}` is refused", path.display()))
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Makes a file with these permissions and has `write` fill it. A file that is there is never touched, and one that was
/// not written whole does not stay.
pub fn write_new<E: Into<anyhow::Error>>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("cannot make `{}`", path.display()))?;
    let written = write(&mut file).map_err(Into::into).and_then(|()| Ok(file.flush()?));
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// Writes beside the file and renames: whoever reads the pack finds the old one or the new one, whole. What is no plain
/// file, such as `/dev/stdout`, is written as it is.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if path.exists() && !path.is_file() {
        return std::fs::write(path, bytes);
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}
