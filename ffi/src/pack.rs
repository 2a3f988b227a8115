//! Packs from bytes: `kestrel_pack_open` and what can be asked of a pack.

use std::ffi::{CString, c_char};
use std::ptr::null;

use kestrel_engine::session::NamedPack;
use kestrel_ir::pack::{Pack, SectionId};

use crate::KestrelStatus;
use crate::boundary::{ErrorText, Refusal, c_text, free, guard, guard_or, handle, slice, store, utf8};

/// `kestrel_pack` of the header: a pack that was read, or the reason why it was not.
#[derive(Debug, Default)]
pub struct KestrelPack {
    opened: Option<Opened>,
    error: ErrorText,
}

#[derive(Debug)]
struct Opened {
    pack: NamedPack,
    manifest: CString,
    content_hash: CString,
}

impl KestrelPack {
    /// The pack, when it was read.
    pub(crate) fn named(&self) -> Option<&NamedPack> {
        self.opened.as_ref().map(|opened| &opened.pack)
    }
}

/// Reads a pack and checks it. The bytes are copied.
///
/// `*pack` is set whatever the answer, so that its error can be read, unless `pack` itself is null. The caller frees it.
///
/// # Safety
/// As the header says: `bytes` is null or valid for `length` bytes, `pack` is null or a place for a pointer.
// SAFETY: no other symbol of this name; the library's names all begin with `kestrel_`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_pack_open(
    bytes: *const u8,
    length: usize,
    pack: *mut *mut KestrelPack,
) -> KestrelStatus {
    // SAFETY: the caller's promise, here and below.
    if !unsafe { store(pack, std::ptr::null_mut()) } {
        return KestrelStatus::InvalidArgument;
    }
    let mut made = KestrelPack::default();
    let status = match guard(|| open(unsafe { slice(bytes, length, "the pack") }?)) {
        Ok(opened) => {
            made.opened = Some(opened);
            KestrelStatus::Ok
        }
        Err(refusal) => made.error.keep(&refusal),
    };
    unsafe { store(pack, Box::into_raw(Box::new(made))) };
    status
}

fn open(bytes: &[u8]) -> Result<Opened, Refusal> {
    let refused = |reason: String| Refusal::new(KestrelStatus::PackRefused, reason);
    let pack = Pack::read(bytes).map_err(|error| refused(error.to_string()))?;
    let manifest = pack.section(SectionId::MANIFEST).unwrap_or_default();
    let manifest = c_text(utf8(manifest, "the manifest")?);
    let pack = NamedPack { name: format!("`{}`", pack.manifest().name), pack };
    let content_hash = c_text(&pack.content_hash());
    Ok(Opened { pack, manifest, content_hash })
}

/// The pack's manifest as JSON: its name, its rules, what it needs. Lives as long as the pack; null when there is none.
///
/// # Safety
/// As the header says: `pack` is null or a pack that was not freed.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_pack_manifest(pack: *const KestrelPack) -> *const c_char {
    // SAFETY: the caller's promise.
    guard_or(null(), || unsafe { opened(pack) }.map_or(null(), |opened| opened.manifest.as_ptr()))
}

/// The pack's content hash, 64 hexadecimal digits. Lives as long as the pack; null when there is none.
///
/// # Safety
/// As [`kestrel_pack_manifest`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_pack_content_hash(pack: *const KestrelPack) -> *const c_char {
    // SAFETY: the caller's promise.
    guard_or(null(), || unsafe { opened(pack) }.map_or(null(), |opened| opened.content_hash.as_ptr()))
}

/// # Safety
/// As [`kestrel_pack_manifest`].
unsafe fn opened<'c>(pack: *const KestrelPack) -> Option<&'c Opened> {
    // SAFETY: the caller's promise.
    unsafe { handle(pack) }?.opened.as_ref()
}

/// Why the pack was refused; empty when it was not.
///
/// # Safety
/// As [`kestrel_pack_manifest`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_pack_error(pack: *const KestrelPack) -> *const c_char {
    // SAFETY: the caller's promise.
    guard_or(c"".as_ptr(), || match unsafe { handle(pack) } {
        Some(pack) => pack.error.as_ptr(),
        None => c"the pack is null".as_ptr(),
    })
}

/// Frees a pack. Engines that were made of it go on. Null is allowed.
///
/// # Safety
/// The pack was not freed, and nobody uses it any more.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_pack_free(pack: *mut KestrelPack) {
    // SAFETY: the caller's promise.
    unsafe { free(pack) };
}
