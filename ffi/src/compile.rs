//! Rules to a pack: `kestrel_compile` and what can be asked of a compilation.

use std::ffi::c_char;
use std::mem::take;
use std::ptr::null;

use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_rules};
use eqlc::diagnostics::{has_errors, json_lines};
use eqlc::rules::load_all;

use crate::KestrelStatus;
use crate::boundary::{ErrorText, Refusal, free, guard, guard_or, handle, slice, store, text, utf8};

/// A flag of [`kestrel_compile`]: leaves out the rules that have errors and builds the rest.
pub const KESTREL_COMPILE_KEEP_GOING: u32 = 1;

/// The name of a pack whose caller gives none.
const UNNAMED: &str = "rules";

/// `kestrel_rule_file` of the header: one rule file in memory.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KestrelRuleFile {
    /// Its name, with a zero byte behind. The ending tells the form (`.toml`, else EQL), and diagnostics show it.
    pub name: *const c_char,
    /// Its text, UTF-8.
    pub text: *const c_char,
    /// The text's length in bytes.
    pub text_length: usize,
}

/// `kestrel_compilation` of the header: what became of rules.
#[derive(Debug, Default)]
pub struct KestrelCompilation {
    pack: Option<Vec<u8>>,
    diagnostics: Vec<u8>,
    error: ErrorText,
}

/// What a compilation came to, before it is a handle.
#[derive(Default)]
struct Outcome {
    pack: Option<Vec<u8>>,
    diagnostics: String,
    refusal: Option<Refusal>,
}

/// Compiles rule files to a pack. With an error in any rule there is no pack, unless `flags` say otherwise.
///
/// `*compilation` is set whatever the answer, so that its diagnostics and error can be read, unless `compilation` itself
/// is null. The caller frees it.
///
/// # Safety
/// As the header says: pointers are null or valid for their lengths, texts with a zero byte behind have one.
// SAFETY: no other symbol of this name; the library's names all begin with `kestrel_`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_compile(
    files: *const KestrelRuleFile,
    count: usize,
    pack_name: *const c_char,
    flags: u32,
    compilation: *mut *mut KestrelCompilation,
) -> KestrelStatus {
    // SAFETY: passed on with the caller's promise.
    if !unsafe { store(compilation, std::ptr::null_mut()) } {
        return KestrelStatus::InvalidArgument;
    }
    // SAFETY: as above.
    let outcome = guard(|| unsafe { arguments(files, count, pack_name, flags) }.and_then(compile));
    let (outcome, refusal) = match outcome {
        Ok(mut outcome) => {
            let refusal = outcome.refusal.take();
            (outcome, refusal)
        }
        Err(refusal) => (Outcome::default(), Some(refusal)),
    };
    let mut diagnostics = outcome.diagnostics.into_bytes();
    diagnostics.push(0);
    let made = KestrelCompilation { pack: outcome.pack, diagnostics, error: ErrorText::default() };
    let status = refusal.map_or(KestrelStatus::Ok, |refusal| made.error.keep(&refusal));
    // SAFETY: as above.
    unsafe { store(compilation, Box::into_raw(Box::new(made))) };
    status
}

/// The arguments of [`kestrel_compile`] as Rust has them.
struct Arguments {
    files: Vec<(String, String)>,
    pack_name: String,
    keep_going: bool,
}

/// # Safety
/// As [`kestrel_compile`].
unsafe fn arguments(
    files: *const KestrelRuleFile,
    count: usize,
    pack_name: *const c_char,
    flags: u32,
) -> Result<Arguments, Refusal> {
    if flags & !KESTREL_COMPILE_KEEP_GOING != 0 {
        return Err(Refusal::argument(format!("the flags {flags:#x} have bits that this library does not know")));
    }
    // SAFETY: the caller's promise, here and below.
    let pack_name = unsafe { text(pack_name, "the name of the pack") }?.unwrap_or(UNNAMED).to_owned();
    let mut read = Vec::new();
    for (number, file) in unsafe { slice(files, count, "the list of rule files") }?.iter().enumerate() {
        let what = format!("the name of rule file {number}");
        let name = unsafe { text(file.name, &what) }?.ok_or_else(|| Refusal::argument(format!("{what} is null")))?;
        let what = format!("the text of rule file {number}, `{name}`,");
        let bytes = unsafe { slice(file.text.cast::<u8>(), file.text_length, &what) }?;
        read.push((name.to_owned(), utf8(bytes, &what)?.to_owned()));
    }
    Ok(Arguments { files: read, pack_name, keep_going: flags & KESTREL_COMPILE_KEEP_GOING != 0 })
}

/// As `eqlc build` does.
fn compile(arguments: Arguments) -> Result<Outcome, Refusal> {
    let options = CompileOptions::default();
    let mut set = load_all(arguments.files);
    let compilation = compile_rules(take(&mut set.rules), &options);
    let mut outcome = Outcome::default();
    let mut failed = 0;
    let around = set.reported.iter().map(|(source, diagnostics)| (&**source, diagnostics.as_slice()));
    for (source, diagnostics) in around.chain(compilation.reports()) {
        outcome.diagnostics.push_str(&json_lines(diagnostics, source));
        failed += usize::from(has_errors(diagnostics));
    }
    let (built, skipped) = (compilation.built.len(), set.skipped.len());
    if failed > 0 && !arguments.keep_going {
        let message = format!("{failed} of {} rule files have errors; the diagnostics say which", built + failed);
        outcome.refusal = Some(Refusal::new(KestrelStatus::RuleErrors, message));
    } else if built == 0 {
        let disabled = compilation.disabled.len();
        let reason = set.skipped.first().map(|(path, reason)| format!("; `{path}`: {reason}")).unwrap_or_default();
        let message = format!(
            "there is no EQL rule to build ({failed} failed, {skipped} are no EQL rules, {disabled} switched off){reason}"
        );
        outcome.refusal = Some(Refusal::new(KestrelStatus::RuleErrors, message));
    } else {
        let options_of_pack = PackOptions { name: arguments.pack_name, ..PackOptions::default() };
        match build_pack(&compilation, &options.schema, options_of_pack) {
            Ok(pack) => outcome.pack = Some(pack.write()),
            Err(error) => outcome.refusal = Some(Refusal::new(KestrelStatus::RuleErrors, error.to_string())),
        }
    }
    Ok(outcome)
}

/// The pack's bytes, which live as long as the compilation; null when there is no pack. `*length` is set in either case.
///
/// # Safety
/// As the header says: `compilation` is null or a compilation that was not freed, `length` is null or a place for a size.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_compilation_pack(
    compilation: *const KestrelCompilation,
    length: *mut usize,
) -> *const u8 {
    // SAFETY: the caller's promise, here and below.
    let bytes = guard_or(None, || unsafe { handle(compilation) }.and_then(|compilation| compilation.pack.as_deref()));
    // Without its length a pack is of no use.
    if !unsafe { store(length, bytes.map_or(0, <[u8]>::len)) } {
        return null();
    }
    bytes.map_or(null(), <[u8]>::as_ptr)
}

/// The diagnostics as lines of JSON with a zero byte behind, which live as long as the compilation; empty when there are
/// none. `*length`, when asked for, does not count the zero byte.
///
/// # Safety
/// As [`kestrel_compilation_pack`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_compilation_diagnostics(
    compilation: *const KestrelCompilation,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: the caller's promise, here and below.
    let text = guard_or(&[0][..], || match unsafe { handle(compilation) } {
        Some(compilation) if !compilation.diagnostics.is_empty() => &compilation.diagnostics,
        _ => &[0],
    });
    unsafe { store(length, text.len() - 1) };
    text.as_ptr().cast()
}

/// Why there is no pack; empty when there is one.
///
/// # Safety
/// As [`kestrel_compilation_pack`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_compilation_error(compilation: *const KestrelCompilation) -> *const c_char {
    // SAFETY: the caller's promise.
    guard_or(c"".as_ptr(), || match unsafe { handle(compilation) } {
        Some(compilation) => compilation.error.as_ptr(),
        None => c"the compilation is null".as_ptr(),
    })
}

/// Frees a compilation with everything that came from it. Null is allowed.
///
/// # Safety
/// The compilation was not freed, and nobody uses it any more.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_compilation_free(compilation: *mut KestrelCompilation) {
    // SAFETY: the caller's promise.
    unsafe { free(compilation) };
}
