//! Files: made, opened, changed, renamed, linked, given away and deleted, under odd names and in deep folders.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use super::actor::Actor;
use crate::expect::Want;
use crate::sys;

/// What is behind the last dot of a name, if anything is there and before it.
fn extension(path: &Path) -> Want {
    let ending = path.extension().filter(|ending| !ending.is_empty());
    Want::texts(ending.map(OsStr::to_string_lossy))
}

/// What a path says of a file.
fn named(path: &Path) -> Vec<(&'static str, Want)> {
    let text = |part: Option<&OsStr>| Want::texts(part.map(OsStr::to_string_lossy));
    vec![
        ("file.name", text(path.file_name())),
        ("file.extension", extension(path)),
        ("file.directory", text(path.parent().map(Path::as_os_str))),
    ]
}

/// What the file itself says.
fn owned(path: &Path) -> Result<Vec<(&'static str, Want)>> {
    let found = fs::symlink_metadata(path).with_context(|| format!("no {}", path.display()))?;
    let kind = if found.is_dir() {
        "dir"
    } else if found.is_symlink() {
        "symlink"
    } else {
        "file"
    };
    Ok(vec![
        ("file.inode", Want::value(found.ino().to_string())),
        ("file.type", Want::value(kind)),
        ("file.mode", Want::value(format!("{:04o}", found.mode() & 0o7777))),
        ("file.uid", Want::value(found.uid().to_string())),
        ("file.gid", Want::value(found.gid().to_string())),
    ])
}

fn key(path: &Path) -> [(&'static str, Json); 1] {
    [("file.path", path.to_string_lossy().into_owned().into())]
}

fn told(actor: &Actor, kind: &str, path: &Path, more: Vec<(&'static str, Want)>, before: i64) -> Result<()> {
    let mut all = named(path);
    all.extend(more);
    actor.told(kind, &key(path), &all, (before, sys::now()))
}

/// One file's life.
fn live(actor: &Actor, path: &Path, next: &Path) -> Result<()> {
    let before = sys::now();
    drop(fs::File::create_new(path)?);
    let mut more = owned(path)?;
    more.push(("file.size", Want::value(0)));
    told(actor, "file_create", path, more, before)?;

    let before = sys::now();
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(b"twelve bytes")?;
    drop(file);
    let mut more = owned(path)?;
    more.push(("file.size", Want::value(12)));
    told(actor, "file_modify", path, more, before)?;

    let before = sys::now();
    drop(fs::File::open(path)?);
    let mut more = named(path);
    more.extend(owned(path)?);
    more.push(("file.Ext.open.flags", Want::Set(vec!["O_RDONLY".into(), "O_CLOEXEC".into()])));
    // It was opened before, when it was empty.
    let [path_key] = key(path);
    actor.told("file_open", &[path_key, ("file.size", json!(12))], &more, (before, sys::now()))?;

    let before = sys::now();
    fs::set_permissions(path, fs::Permissions::from_mode(0o4711))?;
    let mut more = owned(path)?;
    more.push(("file.Ext.original.mode", Want::value("0644")));
    told(actor, "file_chmod", path, more, before)?;

    let before = sys::now();
    fs::rename(path, next)?;
    let original = |part: Option<&OsStr>| Want::texts(part.map(OsStr::to_string_lossy));
    let more = vec![
        ("file.Ext.original.path", original(Some(path.as_os_str()))),
        ("file.Ext.original.name", original(path.file_name())),
        ("file.Ext.original.extension", extension(path)),
    ];
    let mut all = owned(next)?;
    all.retain(|(name, _)| ["file.inode", "file.type"].contains(name));
    all.extend(more);
    told(actor, "file_rename", next, all, before)?;

    let mut more = owned(next)?;
    more.retain(|(name, _)| ["file.inode", "file.type"].contains(name));
    let before = sys::now();
    fs::remove_file(next)?;
    told(actor, "file_delete", next, more, before)
}

pub(super) fn files(actor: &mut Actor) -> Result<i32> {
    let folder = actor.folder().join("files");
    let before = sys::now();
    fs::create_dir(&folder)?;
    // A folder is no file that was created, so nothing is wanted of it here.
    let _ = before;
    live(actor, &folder.join("first.txt"), &folder.join("second.tar.gz"))?;
    live(actor, &folder.join("no ending"), &folder.join(".hidden"))?;
    // Beside relative names, and through a folder that is open.
    std::env::set_current_dir(&folder)?;
    let before = sys::now();
    drop(fs::File::create_new("relative")?);
    let path = folder.join("relative");
    let more = owned(&path)?;
    told(actor, "file_create", &path, more, before)?;
    let more: Vec<_> =
        owned(&path)?.into_iter().filter(|(name, _)| ["file.inode", "file.type"].contains(name)).collect();
    let before = sys::now();
    fs::remove_file("../files/./relative")?;
    told(actor, "file_delete", &path, more, before)?;
    std::env::set_current_dir(actor.folder())?;
    Ok(0)
}

pub(super) fn owners(actor: &mut Actor) -> Result<i32> {
    if actor.own.users[1] != 0 {
        return Ok(0);
    }
    let path = actor.folder().join("given");
    fs::write(&path, b"x")?;
    let was = fs::metadata(&path)?;
    let before = sys::now();
    std::os::unix::fs::chown(&path, Some(1_234), Some(4_321))?;
    let mut more = owned(&path)?;
    more.retain(|(name, _)| *name != "file.mode");
    more.push(("file.Ext.original.uid", Want::value(was.uid().to_string())));
    more.push(("file.Ext.original.gid", Want::value(was.gid().to_string())));
    told(actor, "file_chown", &path, more, before)?;
    Ok(0)
}

pub(super) fn links(actor: &mut Actor) -> Result<i32> {
    let target = actor.folder().join("target");
    fs::write(&target, b"x")?;
    let hard = actor.folder().join("hard");
    let before = sys::now();
    fs::hard_link(&target, &hard)?;
    told(actor, "file_link", &hard, vec![("file.target_path", Want::texts([target.to_string_lossy()]))], before)?;
    let soft = actor.folder().join("soft");
    let before = sys::now();
    std::os::unix::fs::symlink("../anywhere", &soft)?;
    told(actor, "file_link", &soft, vec![("file.target_path", Want::value("../anywhere"))], before)?;
    Ok(0)
}

pub(super) fn odd_names(actor: &mut Actor) -> Result<i32> {
    let folder = actor.folder().join("naïve 日本");
    fs::create_dir(&folder)?;
    for (name, next) in [
        (&b"two\nlines"[..], &b"tab\t.and ending"[..]),
        ("🦅.é".as_bytes(), "ö".as_bytes()),
        (b"not \xff utf-8", b"still \xc3 not"),
        (b"...", b"..a"),
        (b" ", b"\x01"),
        (&[b'x'; 255], &[b'y'; 255]),
    ] {
        live(actor, &folder.join(OsStr::from_bytes(name)), &folder.join(OsStr::from_bytes(next)))?;
    }
    Ok(0)
}

/// A file deeper than any path that a call takes: 24 folders of 250 letters.
pub(super) fn deep(actor: &mut Actor) -> Result<i32> {
    let mut path = actor.folder().join("deep");
    fs::create_dir(&path)?;
    let mut at: OwnedFd = fs::File::open(&path)?.into();
    for level in 0..24_u8 {
        let name = CString::new(vec![b'a' + level; 250])?;
        let folder = at.as_raw_fd() as u64;
        sys::call(libc::SYS_mkdirat, [folder, sys::address(name.as_bytes_with_nul()), 0o755, 0, 0, 0])?;
        at = open_at(&at, &name, libc::O_DIRECTORY)?;
        path.push(OsStr::from_bytes(name.as_bytes()));
    }
    path.push("leaf.txt");
    let before = sys::now();
    let leaf = open_at(&at, c"leaf.txt", libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY)?;
    drop(leaf);
    let text = path.to_string_lossy().into_owned();
    let cut = [("file.path", Want::Cut(vec![text.into()])), ("file.extension", Want::value("txt"))];
    actor.told("file_create", &[("file.name", json!("leaf.txt"))], &cut, (before, sys::now()))?;
    Ok(0)
}

fn open_at(folder: &OwnedFd, name: &std::ffi::CStr, flags: i32) -> Result<OwnedFd> {
    let arguments = [folder.as_raw_fd() as u64, sys::address(name.to_bytes_with_nul()), flags as u64, 0o644, 0, 0];
    let descriptor = sys::call(libc::SYS_openat, arguments)?;
    Ok(sys::owned(descriptor))
}

/// Removes the chain of [`deep`] from above: each folder is moved up to the top, then it is empty below.
pub(super) fn remove_deep(folder: &Path) {
    let top = folder.join("deep");
    for level in 0..24_u8 {
        let name = OsStr::from_bytes(&[b'a' + level; 250]).to_owned();
        let next = OsStr::from_bytes(&[b'b' + level; 250]).to_owned();
        let _ = fs::rename(top.join(&name).join(&next), top.join(&next));
        let _ = fs::remove_file(top.join(&name).join("leaf.txt"));
        let _ = fs::remove_dir(top.join(&name));
    }
}
