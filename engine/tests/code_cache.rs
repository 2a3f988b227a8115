//! The code cache: what was stored comes back, and nothing else does, whatever became of the folder.

mod fixture;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fixture::folder;
use kestrel_engine::runtime::code_cache::{CacheError, CacheLimits, Cached, CodeCache, CodeKey};
use kestrel_engine::runtime::wasm::{WasmLimits, WasmModule};

const CODE: &[u8] = b"some machine code";
/// The empty module: magic and version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn key(number: u32) -> CodeKey {
    let mut key = CodeKey::new("test");
    key.add(&number.to_le_bytes());
    key
}

fn open(path: &Path) -> CodeCache {
    CodeCache::open(path, CacheLimits::default()).expect("a folder of ours")
}

/// A cache in a folder of its own, with one entry for `key(0)`.
fn filled(test: &str) -> (PathBuf, CodeCache) {
    let path = folder(test).join("made/below");
    let cache = open(&path);
    cache.store(&key(0), CODE).expect("there is room");
    (path, cache)
}

/// The files of entries.
fn entries(path: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.filter(|file| file.file_name().is_some_and(|name| name.len() == 64)).collect()
}

fn entry(path: &Path) -> PathBuf {
    match entries(path).as_slice() {
        [one] => one.clone(),
        other => panic!("one entry was expected: {other:?}"),
    }
}

fn refused(cache: &CodeCache) -> bool {
    matches!(cache.load(&key(0)), Cached::Refused(_))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[test]
fn what_was_stored_comes_back_also_from_another_process() {
    let (path, cache) = filled("cache-hit");
    assert_eq!(cache.load(&key(0)), Cached::Code(CODE.to_vec()));
    assert_eq!(cache.load(&key(1)), Cached::Nothing);
    // Another process would open it anew.
    assert_eq!(open(&path).load(&key(0)), Cached::Code(CODE.to_vec()));
    assert_eq!(fs::metadata(&path).expect("a folder").mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(entry(&path)).expect("a file").mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.join("secret")).expect("a file").mode() & 0o777, 0o600);
}

#[test]
fn a_change_of_any_byte_is_noticed_and_mended() {
    let (path, cache) = filled("cache-tampered");
    let whole = fs::read(entry(&path)).expect("a file");
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(entry(&path), &changed).expect("a file");
        assert!(refused(&cache), "byte {place}");
    }
    for length in 0..whole.len() {
        fs::write(entry(&path), &whole[..length]).expect("a file");
        assert!(refused(&cache), "cut to {length}");
    }
    fs::write(entry(&path), [whole.as_slice(), b"more"].concat()).expect("a file");
    assert!(refused(&cache));
    cache.store(&key(0), CODE).expect("there is room");
    assert_eq!(cache.load(&key(0)), Cached::Code(CODE.to_vec()));
}

#[test]
fn an_entry_of_another_key_or_another_folder_is_refused() {
    let (path, cache) = filled("cache-moved");
    let (other_path, other) = filled("cache-moved-other");
    fs::copy(entry(&other_path), entry(&path)).expect("a file");
    assert!(refused(&cache), "it has the other folder's tag");
    other.store(&key(0), CODE).expect("there is room");
    let first = entry(&other_path);
    other.store(&key(1), b"other code").expect("there is room");
    let second = entries(&other_path).into_iter().find(|file| *file != first).expect("two entries");
    fs::rename(second, first).expect("both are there");
    assert!(refused(&other), "it is the code of another key");
}

#[test]
fn files_that_others_can_reach_are_refused() {
    let (path, cache) = filled("cache-modes");
    let file = entry(&path);
    for mode in [0o660, 0o602, 0o644, 0o610] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("a file of ours");
        assert!(refused(&cache), "{mode:o}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a file of ours");
    assert_eq!(cache.load(&key(0)), Cached::Code(CODE.to_vec()));
    if is_root() {
        std::os::unix::fs::chown(&file, Some(65534), None).expect("root may");
        assert!(refused(&cache), "it belongs to somebody else");
    }
}

#[test]
fn links_folders_and_pipes_in_the_place_of_an_entry_are_refused() {
    let (path, cache) = filled("cache-links");
    let file = entry(&path);
    let aside = path.join("aside");
    fs::rename(&file, &aside).expect("a file");
    symlink(&aside, &file).expect("a link");
    assert!(refused(&cache), "a link");
    fs::remove_file(&file).expect("a link");
    fs::create_dir(&file).expect("a folder");
    assert!(refused(&cache), "a folder");
    fs::remove_dir(&file).expect("a folder");
    let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&file).status();
    if made.is_ok_and(|status| status.success()) {
        assert!(refused(&cache), "a pipe");
    }
    cache.store(&key(0), CODE).expect("there is room");
    assert_eq!(cache.load(&key(0)), Cached::Code(CODE.to_vec()));
}

#[test]
fn a_folder_that_is_not_ours_alone_is_no_cache() {
    let (path, _) = filled("cache-folder");
    let check = |what: &str| {
        let opened = CodeCache::open(&path, CacheLimits::default());
        assert!(matches!(opened, Err(CacheError::Unsafe { .. })), "{what}: {opened:?}");
        assert!(CodeCache::check_folder(&path).is_err(), "{what}");
    };
    for mode in [0o770, 0o702, 0o777, 0o1777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a folder of ours");
        check("others may write");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a folder of ours");
    assert!(CodeCache::check_folder(&path).is_ok());
    if is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).expect("root may");
        check("another owner");
        std::os::unix::fs::chown(&path, Some(0), None).expect("root may");
    }
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).expect("a folder");
    symlink(&moved, &path).expect("a link");
    check("a link");
    fs::remove_file(&path).expect("a link");
    fs::write(&path, "").expect("a file");
    check("a file");
}

#[test]
fn a_secret_that_others_could_know_is_replaced_and_its_entries_are_void() {
    let (path, _) = filled("cache-secret");
    let secret = path.join("secret");
    let before = fs::read(&secret).expect("a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("a file of ours");
    let cache = open(&path);
    assert_ne!(fs::read(&secret).expect("a file"), before);
    assert!(refused(&cache));
    fs::write(&secret, "short").expect("a file");
    open(&path);
    assert_eq!(fs::read(&secret).expect("a file").len(), 32);
}

#[test]
fn many_writers_at_once_leave_whole_entries() {
    let path = folder("cache-writers").join("cache");
    std::thread::scope(|scope| {
        for writer in 0..8u32 {
            let path = &path;
            scope.spawn(move || {
                let cache = open(path);
                for round in 0..20u32 {
                    let code = vec![writer as u8; 1000 + round as usize];
                    cache.store(&key(round % 3), &code).expect("there is room");
                    match cache.load(&key(round % 3)) {
                        Cached::Code(code) => assert!(code.iter().all(|byte| *byte == code[0])),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(entries(&path).len(), 3);
    assert_eq!(fs::read_dir(&path).expect("a folder").count(), 4, "three entries and the secret");
}

#[test]
fn what_was_used_longest_ago_goes_when_there_is_too_much() {
    let path = folder("cache-full").join("cache");
    let cache = CodeCache::open(&path, CacheLimits { entries: 3, bytes: 2000 }).expect("a folder of ours");
    let age = |seconds: u64, file: &Path| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::open(file).and_then(|file| file.set_modified(time)).expect("a file of ours");
    };
    let store = |number: u32, length: usize| {
        let before = entries(&path);
        cache.store(&key(number), &vec![0; length]).expect("there is room");
        let new = entries(&path).into_iter().find(|file| !before.contains(file)).expect("a new entry");
        age(1000 + u64::from(number), &new);
    };
    let there = |number: u32| fs::exists(path.join(format!("{:?}", key(number)))).expect("a folder");
    (0..3).for_each(|number| store(number, 10));
    // The first is used again, so the second is now the oldest.
    assert!(matches!(cache.load(&key(0)), Cached::Code(_)));
    store(3, 10);
    assert_eq!([0, 1, 2, 3].map(there), [true, false, true, true], "at most three");
    store(4, 1800);
    assert_eq!([0, 2, 3, 4].map(there), [true, false, false, true], "at most 2,000 bytes");
    store(5, 5000);
    assert_eq!([0, 4, 5].map(there), [false, false, true], "the newest stays");
}

#[test]
fn a_module_is_compiled_once_and_whatever_happens_to_its_code_is_told() {
    let path = folder("cache-module").join("cache");
    let cache = open(&path);
    let load = |limits| WasmModule::load(MODULE, limits, Some(&cache)).expect("a module").1;
    let first = load(WasmLimits::default());
    assert!(!first.cached && first.refused.is_none() && first.not_kept.is_none(), "{first:?}");
    assert!(load(WasmLimits::default()).cached);
    assert!(!load(WasmLimits::strict()).cached, "fuel is part of the code");
    assert_eq!(entries(&path).len(), 2);
    for file in entries(&path) {
        let mut bytes = fs::read(&file).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x80;
        fs::write(&file, bytes).expect("a file");
    }
    let third = load(WasmLimits::default());
    assert!(!third.cached && third.refused.is_some(), "{third:?}");
    assert!(load(WasmLimits::default()).cached, "it was written anew");
}

#[test]
fn a_folder_that_takes_nothing_stops_nothing() {
    let path = folder("cache-gone").join("cache");
    let cache = open(&path);
    fs::remove_dir_all(&path).expect("a folder");
    let (_, origin) = WasmModule::load(MODULE, WasmLimits::default(), Some(&cache)).expect("a module");
    assert!(!origin.cached && origin.not_kept.is_some(), "{origin:?}");
    assert!(CodeCache::open(Path::new("/proc/kestrel"), CacheLimits::default()).is_err());
}
