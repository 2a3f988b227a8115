//! What the functions promise, called as C calls them.

#![expect(unsafe_code, reason = "calls the C functions, with right and with wrong arguments")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

use kestrel::*;

const SHELL: &str = "process where process.name == \"sh\"";
const EVENT: &str = r#"{"@timestamp": 1700000000000, "event.category": "process", "process.name": "sh"}"#;

/// Collects the alerts in the `Vec<String>` that `user` points to.
unsafe extern "C" fn collect(user: *mut c_void, line: *const c_char, length: usize) {
    let line = unsafe { CStr::from_ptr(line) }.to_str().expect("an alert is UTF-8");
    assert_eq!(line.len(), length);
    unsafe { &mut *user.cast::<Vec<String>>() }.push(line.to_owned());
}

/// For calls that have no alerts.
unsafe extern "C" fn refuse(_: *mut c_void, line: *const c_char, _: usize) {
    panic!("an alert that should not be: {:?}", unsafe { CStr::from_ptr(line) });
}

fn text<'c>(pointer: *const c_char) -> &'c str {
    assert!(!pointer.is_null());
    unsafe { CStr::from_ptr(pointer) }.to_str().expect("texts are UTF-8")
}

fn compile(files: &[(&str, &[u8])], flags: u32) -> (KestrelStatus, *mut KestrelCompilation) {
    let names: Vec<CString> = files.iter().map(|(name, _)| CString::new(*name).expect("no zero byte")).collect();
    let files: Vec<KestrelRuleFile> = files
        .iter()
        .zip(&names)
        .map(|((_, text), name)| KestrelRuleFile {
            name: name.as_ptr(),
            text: text.as_ptr().cast(),
            text_length: text.len(),
        })
        .collect();
    let mut compilation = null_mut();
    let status = unsafe { kestrel_compile(files.as_ptr(), files.len(), null(), flags, &mut compilation) };
    assert!(!compilation.is_null());
    (status, compilation)
}

fn pack_bytes(compilation: *const KestrelCompilation) -> Option<Vec<u8>> {
    let mut length = usize::MAX;
    let bytes = unsafe { kestrel_compilation_pack(compilation, &mut length) };
    if bytes.is_null() {
        assert_eq!(length, 0);
        return None;
    }
    Some(unsafe { std::slice::from_raw_parts(bytes, length) }.to_vec())
}

fn open(bytes: &[u8]) -> (KestrelStatus, *mut KestrelPack) {
    let mut pack = null_mut();
    let status = unsafe { kestrel_pack_open(bytes.as_ptr(), bytes.len(), &mut pack) };
    assert!(!pack.is_null());
    (status, pack)
}

fn engine_of(rule: &str, runtime: &CStr) -> *mut KestrelEngine {
    let (status, compilation) = compile(&[("rule.eql", rule.as_bytes())], 0);
    assert_eq!(status, KestrelStatus::Ok);
    let (status, pack) = open(&pack_bytes(compilation).expect("there is a pack"));
    assert_eq!(status, KestrelStatus::Ok);
    let mut engine = null_mut();
    assert_eq!(unsafe { kestrel_engine_new(pack, runtime.as_ptr(), &mut engine) }, KestrelStatus::Ok);
    unsafe {
        // The engine lives on without them.
        kestrel_pack_free(pack);
        kestrel_compilation_free(compilation);
    }
    engine
}

fn feed(engine: *mut KestrelEngine, document: &[u8], alerts: &mut Vec<String>) -> KestrelStatus {
    let user = std::ptr::from_mut(alerts).cast();
    unsafe { kestrel_engine_feed(engine, document.as_ptr().cast(), document.len(), Some(collect), user) }
}

#[test]
fn a_broken_document_is_told_and_the_engine_goes_on() {
    for runtime in [c"wasm", c"lua", c"interp"] {
        let engine = engine_of(SHELL, runtime);
        let mut alerts = Vec::new();
        assert_eq!(text(unsafe { kestrel_engine_error(engine) }), "");
        assert_eq!(feed(engine, b"{", &mut alerts), KestrelStatus::InvalidDocument);
        let error = text(unsafe { kestrel_engine_error(engine) }).to_owned();
        assert!(error.starts_with("document 1 is no event: not JSON"), "{error}");
        assert_eq!(feed(engine, EVENT.as_bytes(), &mut alerts), KestrelStatus::Ok);
        for (broken, reason) in [
            (&b""[..], "not JSON"),
            (b"[]", "expected a JSON object"),
            (b"{}", "has no `@timestamp`"),
            (b"\xff\x00", "not JSON"),
            (&[b'['; 100_000], "not JSON"),
            (&vec![b' '; (16 << 20) + 1], "at most 16777216 are allowed"),
        ] {
            assert_eq!(feed(engine, broken, &mut alerts), KestrelStatus::InvalidDocument);
            let error = text(unsafe { kestrel_engine_error(engine) });
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(feed(engine, EVENT.as_bytes(), &mut alerts), KestrelStatus::Ok);
        assert_eq!(alerts.len(), 2);
        assert!(alerts[0].contains("\"rule\":{\"id\":\"rule\""), "{}", alerts[0]);

        let mut counters = KestrelCounters::default();
        let status = unsafe { kestrel_engine_counters(engine, &mut counters, size_of_val(&counters)) };
        assert_eq!(status, KestrelStatus::Ok);
        let expected = KestrelCounters { events: 2, invalid_documents: 7, alerts: 2, ..KestrelCounters::default() };
        assert_eq!(counters, expected);
        unsafe { kestrel_engine_free(engine) };
    }
}

#[test]
fn alerts_that_wait_come_at_the_end_and_nothing_after_it() {
    let rule = r#"sequence by host.id with maxspan=1m [process where process.name == "sh"] ![process where process.name == "x"]"#;
    let engine = engine_of(rule, c"wasm");
    let mut alerts = Vec::new();
    let event = br#"{"@timestamp": 1, "event.category": "process", "process.name": "sh", "host.id": "h"}"#;
    assert_eq!((feed(engine, event, &mut alerts), alerts.len()), (KestrelStatus::Ok, 0));
    let user = std::ptr::from_mut(&mut alerts).cast();
    assert_eq!(unsafe { kestrel_engine_finish(engine, Some(collect), user) }, KestrelStatus::Ok);
    assert_eq!(alerts.len(), 1);
    assert_eq!(feed(engine, event, &mut alerts), KestrelStatus::Finished);
    assert_eq!(unsafe { kestrel_engine_finish(engine, Some(refuse), null_mut()) }, KestrelStatus::Finished);
    assert_eq!(text(unsafe { kestrel_engine_error(engine) }), "the engine has been finished");
    unsafe { kestrel_engine_free(engine) };
}

#[test]
fn a_callback_that_comes_back_with_its_engine_finds_it_busy() {
    unsafe extern "C" fn come_back(user: *mut c_void, _: *const c_char, _: usize) {
        let (engine, statuses) = unsafe { &mut *user.cast::<(*mut KestrelEngine, Vec<KestrelStatus>)>() };
        let mut counters = KestrelCounters::default();
        unsafe {
            statuses.push(kestrel_engine_feed(*engine, c"{}".as_ptr(), 2, Some(refuse), null_mut()));
            statuses.push(kestrel_engine_finish(*engine, Some(refuse), null_mut()));
            statuses.push(kestrel_engine_counters(*engine, &mut counters, size_of_val(&counters)));
            assert!(text(kestrel_engine_error(*engine)).contains("in the middle of another call"));
            // Forbidden, and therefore harmless.
            kestrel_engine_free(*engine);
        }
    }
    let mut state = (engine_of(SHELL, c"interp"), Vec::<KestrelStatus>::new());
    let (engine, user) = (state.0, std::ptr::from_mut(&mut state).cast());
    let status = unsafe { kestrel_engine_feed(engine, EVENT.as_ptr().cast(), EVENT.len(), Some(come_back), user) };
    assert_eq!(status, KestrelStatus::Ok);
    assert_eq!(state.1, [KestrelStatus::Busy; 3]);
    let mut alerts = Vec::new();
    assert_eq!((feed(engine, EVENT.as_bytes(), &mut alerts), alerts.len()), (KestrelStatus::Ok, 1));
    unsafe { kestrel_engine_free(engine) };
}

#[test]
fn an_engine_may_be_used_on_another_thread_than_it_was_made_on() {
    for runtime in [c"wasm", c"lua", c"interp"] {
        let address = engine_of(SHELL, runtime) as usize;
        let alerts = std::thread::spawn(move || {
            let (engine, mut alerts) = (address as *mut KestrelEngine, Vec::new());
            assert_eq!(feed(engine, EVENT.as_bytes(), &mut alerts), KestrelStatus::Ok);
            unsafe { kestrel_engine_free(engine) };
            alerts.len()
        });
        assert_eq!(alerts.join().expect("the thread ends well"), 1);
    }
}

#[test]
fn rules_with_errors_make_no_pack_unless_asked_to_go_on() {
    let files = [("good.eql", SHELL.as_bytes()), ("bad.eql", b"process where process.nmae == 1")];
    let (status, compilation) = compile(&files, 0);
    assert_eq!((status, pack_bytes(compilation)), (KestrelStatus::RuleErrors, None));
    assert!(text(unsafe { kestrel_compilation_error(compilation) }).starts_with("1 of 2 rule files have errors"));
    let mut length = 0;
    let diagnostics = text(unsafe { kestrel_compilation_diagnostics(compilation, &mut length) });
    assert_eq!(diagnostics.len(), length);
    assert!(diagnostics.starts_with("{\"file\":\"bad.eql\",\"line\":1,\"column\":15,"), "{diagnostics}");
    unsafe { kestrel_compilation_free(compilation) };

    let (status, compilation) = compile(&files, KESTREL_COMPILE_KEEP_GOING);
    assert_eq!(status, KestrelStatus::Ok);
    assert!(text(unsafe { kestrel_compilation_diagnostics(compilation, null_mut()) }).contains("E0201"));
    assert_eq!(text(unsafe { kestrel_compilation_error(compilation) }), "");
    let (status, pack) = open(&pack_bytes(compilation).expect("there is a pack"));
    assert_eq!(status, KestrelStatus::Ok);
    let manifest = text(unsafe { kestrel_pack_manifest(pack) });
    let manifest: serde_json::Value = serde_json::from_str(manifest).expect("a manifest is JSON");
    assert_eq!((&manifest["name"], &manifest["rules"][0]["id"]), (&"rules".into(), &"good".into()));
    assert_eq!(text(unsafe { kestrel_pack_content_hash(pack) }).len(), 64);
    unsafe { kestrel_pack_free(pack) };
    unsafe { kestrel_compilation_free(compilation) };
}

#[test]
fn nothing_to_build_is_an_error() {
    let other = ("other.toml", &b"[rule]\nrule_id = \"x\"\ntype = \"query\"\nquery = \"a:b\"\n"[..]);
    for files in [&[][..], &[other]] {
        let (status, compilation) = compile(files, 0);
        assert_eq!((status, pack_bytes(compilation)), (KestrelStatus::RuleErrors, None));
        let error = text(unsafe { kestrel_compilation_error(compilation) });
        assert!(error.starts_with("there is no EQL rule to build"), "{error}");
        unsafe { kestrel_compilation_free(compilation) };
    }
}

#[test]
fn broken_packs_are_refused_with_a_reason() {
    let (_, compilation) = compile(&[("rule.eql", SHELL.as_bytes())], 0);
    let good = pack_bytes(compilation).expect("there is a pack");
    unsafe { kestrel_compilation_free(compilation) };
    let mut flipped = good.clone();
    *flipped.last_mut().expect("a pack has bytes") ^= 1;
    for bytes in [&b""[..], b"no pack", &good[..good.len() / 2], &flipped] {
        let (status, pack) = open(bytes);
        assert_eq!(status, KestrelStatus::PackRefused);
        assert_ne!(text(unsafe { kestrel_pack_error(pack) }), "");
        assert!(unsafe { kestrel_pack_manifest(pack) }.is_null());
        assert!(unsafe { kestrel_pack_content_hash(pack) }.is_null());
        // A refused pack can be asked to run, and says no.
        let mut engine = null_mut();
        assert_eq!(unsafe { kestrel_engine_new(pack, null(), &mut engine) }, KestrelStatus::PackRefused);
        assert_eq!(feed(engine, EVENT.as_bytes(), &mut Vec::new()), KestrelStatus::EngineRefused);
        unsafe { kestrel_engine_free(engine) };
        unsafe { kestrel_pack_free(pack) };
    }
}

#[test]
fn wrong_arguments_are_refused_and_never_read() {
    let invalid = KestrelStatus::InvalidArgument;
    let (mut compilation, mut pack, mut engine) = (null_mut(), null_mut(), null_mut());
    unsafe {
        // No place for the handle.
        assert_eq!(kestrel_compile(null(), 0, null(), 0, null_mut()), invalid);
        assert_eq!(kestrel_pack_open(null(), 0, null_mut()), invalid);
        assert_eq!(kestrel_engine_new(null(), null(), null_mut()), invalid);

        // Null with a length, unknown flags, and texts that are not UTF-8.
        assert_eq!(kestrel_compile(null(), 1, null(), 0, &mut compilation), invalid);
        assert_eq!(text(kestrel_compilation_error(compilation)), "the list of rule files is null, but its length is 1");
        assert_eq!(text(kestrel_compilation_diagnostics(compilation, null_mut())), "");
        kestrel_compilation_free(compilation);
        assert_eq!(kestrel_compile(null(), 0, null(), 6, &mut compilation), invalid);
        kestrel_compilation_free(compilation);
        assert_eq!(kestrel_compile(null(), 0, c"\xff".as_ptr(), 0, &mut compilation), invalid);
        kestrel_compilation_free(compilation);
        let nameless = KestrelRuleFile { name: null(), text: null(), text_length: 0 };
        assert_eq!(kestrel_compile(&nameless, 1, null(), 0, &mut compilation), invalid);
        kestrel_compilation_free(compilation);
        let huge = KestrelRuleFile { name: c"a.eql".as_ptr(), text: c"".as_ptr(), text_length: usize::MAX };
        assert_eq!(kestrel_compile(&huge, 1, null(), 0, &mut compilation), invalid);
        kestrel_compilation_free(compilation);
        let (status, compilation) = compile(&[("a.eql", b"process where \xff")], 0);
        assert_eq!(status, invalid);
        let error = text(kestrel_compilation_error(compilation));
        assert_eq!(error, "the text of rule file 0, `a.eql`, is not UTF-8: byte 14 is wrong");
        assert!(kestrel_compilation_pack(compilation, null_mut()).is_null());
        kestrel_compilation_free(compilation);

        assert_eq!(kestrel_pack_open(null(), 1, &mut pack), invalid);
        assert_eq!(text(kestrel_pack_error(pack)), "the pack is null, but its length is 1");
        kestrel_pack_free(pack);
        assert_eq!(kestrel_engine_new(null(), null(), &mut engine), invalid);
        assert_eq!(text(kestrel_engine_error(engine)), "the pack is null");
        kestrel_engine_free(engine);

        // An engine's own.
        let engine = engine_of(SHELL, c"interp");
        assert_eq!(kestrel_engine_feed(engine, null(), 1, Some(refuse), null_mut()), invalid);
        assert_eq!(kestrel_engine_feed(engine, EVENT.as_ptr().cast(), usize::MAX, Some(refuse), null_mut()), invalid);
        assert_eq!(kestrel_engine_feed(engine, EVENT.as_ptr().cast(), EVENT.len(), None, null_mut()), invalid);
        assert_eq!(text(kestrel_engine_error(engine)), "the alert callback is null");
        assert_eq!(kestrel_engine_finish(engine, None, null_mut()), invalid);
        assert_eq!(kestrel_engine_counters(engine, null_mut(), 56), invalid);
        let mut counters = KestrelCounters::default();
        assert_eq!(kestrel_engine_counters(engine, &mut counters, 0), invalid);
        assert_eq!(kestrel_engine_counters(engine, &mut counters, 55), invalid);
        // None of that was an event.
        assert_eq!(kestrel_engine_counters(engine, &mut counters, size_of_val(&counters)), KestrelStatus::Ok);
        assert_eq!(counters, KestrelCounters::default());
        kestrel_engine_free(engine);

        // No handle at all.
        assert_eq!(kestrel_engine_feed(null(), null(), 0, Some(refuse), null_mut()), invalid);
        assert_eq!(kestrel_engine_finish(null(), Some(refuse), null_mut()), invalid);
        assert_eq!(kestrel_engine_counters(null(), &mut counters, 8), invalid);
        assert_ne!(text(kestrel_compilation_error(null())), "");
        assert_ne!(text(kestrel_pack_error(null())), "");
        assert_ne!(text(kestrel_engine_error(null())), "");
        assert!(kestrel_pack_manifest(null()).is_null() && kestrel_pack_content_hash(null()).is_null());
        assert_eq!((pack_bytes(null()), text(kestrel_compilation_diagnostics(null(), null_mut()))), (None, ""));
        kestrel_compilation_free(null_mut());
        kestrel_pack_free(null_mut());
        kestrel_engine_free(null_mut());
    }
}

#[test]
fn counters_fit_programs_of_another_age() {
    let engine = engine_of(SHELL, c"interp");
    feed(engine, b"{", &mut Vec::new());
    let mut room = [u64::MAX; 9];
    let counters = room.as_mut_ptr().cast();
    assert_eq!(unsafe { kestrel_engine_counters(engine, counters, 16) }, KestrelStatus::Ok);
    assert_eq!(room[..3], [0, 1, u64::MAX]);
    let counters = room.as_mut_ptr().cast();
    assert_eq!(unsafe { kestrel_engine_counters(engine, counters, 64) }, KestrelStatus::Ok);
    assert_eq!(room, [0, 1, 0, 0, 0, 0, 0, 0, u64::MAX]);
    unsafe { kestrel_engine_free(engine) };
}

#[test]
fn an_unknown_runtime_is_refused_by_name() {
    let (_, compilation) = compile(&[("rule.eql", SHELL.as_bytes())], 0);
    let (_, pack) = open(&pack_bytes(compilation).expect("there is a pack"));
    for (runtime, reason) in [(c"tea", "unknown runtime `tea`"), (c"", "``")] {
        let mut engine = null_mut();
        let status = unsafe { kestrel_engine_new(pack, runtime.as_ptr(), &mut engine) };
        assert_eq!(status, KestrelStatus::EngineRefused);
        let error = text(unsafe { kestrel_engine_error(engine) });
        assert!(error.contains(reason), "{error}");
        unsafe { kestrel_engine_free(engine) };
    }
    unsafe { kestrel_pack_free(pack) };
    unsafe { kestrel_compilation_free(compilation) };
}

#[test]
fn versions_are_those_of_the_crate() {
    assert_eq!(text(kestrel_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(kestrel_api_version(), KESTREL_API_VERSION);
}
