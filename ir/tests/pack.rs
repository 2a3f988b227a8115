//! Packs: the same parts give the same bytes, what is written reads back, and no damage goes unnoticed.

use kestrel_ir::model::Program;
use kestrel_ir::pack::{
    ActionInfo, CompilerInfo, DETACHED, EventFieldsInfo, FilterKey, FilterMaps, FilterTest, HEADER_SIZE, KindKeys,
    KindReason, MAX_PACK_SIZE, MAX_PROGRAM, Manifest, Pack, PackBuilder, PackFile, PackProblem, PredicateInfo,
    PrivateKey, ProgramFile, RuleInfo, SectionId, TacticInfo, TechniqueInfo, ThreatInfo,
};
use kestrel_ir::text::parse;
use kestrel_schema::Schema;
use sha2::{Digest, Sha256};

mod generate;

const RULES: &str = r#"
field f0 event.category : keyword
field f1 process.name : keyword
field f2 process.entity_id : keyword
atom a0 = f0 exact ["process"]
atom a1 = f1 exact~ ["bash", "sh"]
node n0 = a1
predicate p0 = a0 where n0
rule "one" = event p0
rule "two" = sequence maxspan 5m {
  step p0 by f2
  step p0 by f2
  missing p0 by f2
}
program g0 = lua "three/predicate.lua" fields [f1] capabilities [fields, state]
rule "three" = event p0 program g0
"#;

fn hash_of(schema: &Schema) -> String {
    schema.hash().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn builder() -> PackBuilder {
    let ir = parse(RULES).expect("the rules parse");
    let technique = TechniqueInfo {
        id: "T1059".to_owned(),
        name: "Command and Scripting Interpreter".to_owned(),
        subtechniques: vec![TacticInfo { id: "T1059.004".to_owned(), name: "Unix Shell".to_owned(), reference: None }],
        ..TechniqueInfo::default()
    };
    let threat = ThreatInfo {
        framework: "MITRE ATT&CK".to_owned(),
        tactic: Some(TacticInfo { id: "TA0002".to_owned(), name: "Execution".to_owned(), reference: None }),
        techniques: vec![technique],
    };
    let rule = |id: &str| RuleInfo {
        id: id.to_owned(),
        name: format!("Rule {id}"),
        enabled: true,
        dialect: "elastic".to_owned(),
        severity: Some("high".to_owned()),
        risk_score: Some(73),
        threat: vec![threat.clone()],
        actions: vec![ActionInfo {
            action: "kill_process".to_owned(),
            state: Some(1),
            tree: true,
            ..Default::default()
        }],
        file: Some(format!("{id}.eql")),
        ..RuleInfo::default()
    };
    let predicate = PredicateInfo {
        name: "three/predicate.lua".to_owned(),
        language: "lua".to_owned(),
        fields: vec!["process.name".to_owned()],
        capabilities: vec!["fields".to_owned(), "state".to_owned()],
    };
    let manifest = Manifest {
        name: "example".to_owned(),
        compiler: CompilerInfo { name: "eqlc".to_owned(), version: "0.1.0".to_owned(), build: None },
        dialects: vec!["elastic".to_owned()],
        schema_name: "ecs".to_owned(),
        schema_hash: hash_of(&Schema::ecs()),
        event_fields: EventFieldsInfo {
            category: "event.category".to_owned(),
            timestamp: "@timestamp".to_owned(),
            timestamp_format: "auto".to_owned(),
            ..EventFieldsInfo::default()
        },
        rules: vec![rule("one"), rule("two"), RuleInfo { predicate: Some(predicate), ..rule("three") }],
        ..Manifest::default()
    };
    let reason = KindReason { kind: 1, rules: vec!["one".to_owned(), "two".to_owned()], more: 0 };
    let file = |path: &str| PackFile { path: path.to_owned(), text: "process where true\n".to_owned() };
    PackBuilder {
        module: Some(b"\0asm\x01\0\0\0".to_vec()),
        predicates: Some("return {}\n".to_owned()),
        filters: FilterMaps { kinds: vec![1], known: vec![1, 2, 3], reasons: vec![reason] },
        sources: vec![file("two.eql"), file("one.eql"), file("three.eql")],
        tests: vec![file("tests/one.toml")],
        programs: vec![ProgramFile { name: "three/predicate.lua".to_owned(), bytes: b"pred_abi = 1".to_vec() }],
        ..PackBuilder::new(manifest, ir)
    }
}

fn bytes() -> Vec<u8> {
    builder().build().expect("a valid pack").write()
}

fn problem(bytes: &[u8]) -> PackProblem {
    Pack::read(bytes).expect_err("a problem").problem().clone()
}

/// Gives changed content the hash that it needs to be looked at, by the rule of `docs/pack-format.md`.
fn rehash(bytes: &mut [u8]) {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let mut digest = Sha256::new();
    digest.update(&bytes[..12]);
    for index in 0..word(12) as usize {
        let entry = HEADER_SIZE + 24 * index;
        let (offset, length) = (word(entry + 8) as usize, word(entry + 16) as usize);
        if word(entry + 4) & DETACHED == 0 && offset + length <= bytes.len() {
            digest.update(&bytes[entry..entry + 8]);
            digest.update(&bytes[entry + 16..entry + 24]);
            digest.update(&bytes[offset..offset + length]);
        }
    }
    let hash: [u8; 32] = digest.finalize().into();
    bytes[16..48].copy_from_slice(&hash);
}

/// The pack with another manifest than the one that follows from its rules, and the right hash.
fn with_manifest(change: &dyn Fn(&mut Manifest)) -> Vec<u8> {
    let pack = builder().build().expect("a valid pack");
    let mut manifest = pack.manifest().clone();
    change(&mut manifest);
    let manifest = serde_json::to_vec(&manifest).expect("JSON");
    assembled(&pack, |id| (id == SectionId::MANIFEST).then(|| manifest.clone()))
}

/// The file of a pack's sections, some with another content, and the right hash.
fn assembled(pack: &Pack, other: impl Fn(SectionId) -> Option<Vec<u8>>) -> Vec<u8> {
    let content = |id: SectionId| other(id).unwrap_or_else(|| pack.section(id).expect("it is there").to_vec());
    let sections: Vec<(SectionId, Vec<u8>)> = pack.sections().iter().map(|info| (info.id, content(info.id))).collect();
    let mut bytes = pack.bytes()[..16].to_vec();
    bytes.resize(HEADER_SIZE, 0);
    let mut offset = HEADER_SIZE + 24 * sections.len();
    for (id, content) in &sections {
        bytes.extend_from_slice(&id.0.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(&(offset as u64).to_le_bytes());
        bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
        offset = (offset + content.len()).next_multiple_of(8);
    }
    for (_, content) in &sections {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend_from_slice(content);
    }
    rehash(&mut bytes);
    bytes
}

/// The place of a section's table entry.
fn entry(bytes: &[u8], id: SectionId) -> usize {
    let count = u32::from_le_bytes(bytes[12..16].try_into().expect("4 bytes")) as usize;
    let mut entries = (0..count).map(|index| HEADER_SIZE + 24 * index);
    entries.find(|at| bytes[*at..*at + 4] == id.0.to_le_bytes()).expect("the section is there")
}

#[test]
fn what_is_written_reads_back() {
    let (builder, bytes) = (builder(), bytes());
    let pack = Pack::read(&bytes).expect("a valid pack");
    assert_eq!(pack.ir(), &builder.ir);
    assert_eq!(pack.module(), builder.module.as_deref());
    assert_eq!(pack.predicates(), builder.predicates.as_deref());
    assert_eq!(pack.filters(), &builder.filters);
    assert_eq!(
        pack.sources().iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
        ["one.eql", "three.eql", "two.eql"]
    );
    assert_eq!(pack.tests(), builder.tests);
    assert_eq!(pack.manifest().rules, builder.manifest.rules);
    assert_eq!(pack.manifest().required_fields, ["event.category", "process.entity_id", "process.name"]);
    assert_eq!(pack.manifest().required_kinds, [1]);
    let budget = &pack.manifest().state_budget;
    assert_eq!((budget.sequences, budget.steps, budget.partial_matches_per_key), (1, 3, 2));
    assert_eq!(budget.longest_maxspan, Some(300_000_000_000));
    let worst = budget.worst_case.as_ref().expect("this compiler says it");
    assert_eq!((worst.events_per_key, worst.frame_bytes, worst.bytes_per_key), (3, 96, 3 << 20));
    assert_eq!(pack.write(), bytes);
}

#[test]
fn a_pack_for_matching_keeps_its_rules_and_code_alone() {
    let whole = Pack::from_bytes(bytes()).expect("a pack");
    let kept = whole.clone().for_matching();
    assert_eq!((kept.module(), kept.predicates()), (whole.module(), whole.predicates()));
    assert!(kept.module().is_some() && kept.predicates().is_some());
    assert_eq!((kept.ir(), kept.manifest()), (whole.ir(), whole.manifest()));
    assert_eq!((kept.content_hash(), kept.format_version()), (whole.content_hash(), whole.format_version()));
    assert!(kept.sources().is_empty() && kept.tests().is_empty() && kept.sections().is_empty());
    assert!(kept.bytes().len() < whole.bytes().len() / 2, "{} of {}", kept.bytes().len(), whole.bytes().len());
}

#[test]
fn the_same_parts_give_the_same_bytes() {
    let mut other = builder();
    other.sources.reverse();
    assert_eq!(other.build().expect("a valid pack").write(), bytes());
    let mut changed = builder();
    changed.manifest.name.push('!');
    let changed = changed.build().expect("a valid pack");
    assert_ne!(changed.content_hash(), Pack::read(&bytes()).expect("a valid pack").content_hash());
}

#[test]
fn a_pack_cut_anywhere_is_refused() {
    let bytes = bytes();
    for length in 0..bytes.len() {
        let problem = problem(&bytes[..length]);
        assert!(matches!(problem, PackProblem::Truncated { .. }), "{length}: {problem}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(problem(&longer), PackProblem::Stray { offset: bytes.len() as u64 });
}

#[test]
fn a_pack_with_any_byte_changed_is_refused() {
    let bytes = bytes();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            problem(&changed);
        }
    }
}

#[test]
fn a_pack_with_the_hash_of_its_damage_never_panics_and_can_be_signed_when_it_reads() {
    let Ok(key) = PrivateKey::generate(|seed| {
        seed.fill(1);
        Ok::<(), std::convert::Infallible>(())
    });
    let bytes = builder().build().and_then(|pack| pack.sign(&key)).expect("a valid pack").write();
    let mut random = generate::Random::new(3);
    let mut read = 0;
    for at in HEADER_SIZE..bytes.len() {
        for _ in 0..4 {
            let mut changed = bytes.clone();
            changed[at] = random.below(256) as u8;
            rehash(&mut changed);
            let Ok(pack) = Pack::read(&changed) else { continue };
            read += 1;
            let signed = pack.sign(&key).expect("there is room for a signature");
            assert_eq!(signed.content_hash(), pack.content_hash());
            assert!(signed.verify_signature(&[key.public()]).is_ok(), "byte {at}");
            assert_eq!(pack.verify_signature(&[key.public()]).is_ok(), pack == signed, "byte {at}");
        }
    }
    // A letter of a name may change; the point is that the content was looked at.
    assert!(read > 100, "{read}");
}

#[test]
fn each_damage_has_its_own_error() {
    let good = bytes();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        problem(&bytes)
    };
    let set = |bytes: &mut Vec<u8>, at: usize, value: u64, width: usize| {
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    };
    let manifest = entry(&good, SectionId::MANIFEST);
    let ir = entry(&good, SectionId::IR);

    assert_eq!(changed(&|bytes| bytes[0] = b'x'), PackProblem::Magic);
    assert_eq!(changed(&|bytes| set(bytes, 8, 3, 2)), PackProblem::Version { major: 3, minor: 2 });
    assert_eq!(changed(&|bytes| set(bytes, 8, 1, 2)), PackProblem::Version { major: 1, minor: 2 });
    assert_eq!(changed(&|bytes| set(bytes, 12, 65, 4)), PackProblem::TooManySections { count: 65, limit: 64 });
    assert_eq!(changed(&|bytes| bytes[16] ^= 1), PackProblem::Hash);
    assert_eq!(changed(&|bytes| set(bytes, ir, 1, 4)), PackProblem::SectionTwice(SectionId::MANIFEST));
    assert_eq!(changed(&|bytes| set(bytes, manifest + 8, 40, 8)), PackProblem::Overlap(SectionId::MANIFEST));
    let offset = u64::from_le_bytes(good[ir + 8..ir + 16].try_into().expect("8 bytes"));
    assert_eq!(changed(&|bytes| set(bytes, ir + 8, offset - 8, 8)), PackProblem::Overlap(SectionId::IR));
    assert!(matches!(changed(&|bytes| set(bytes, ir + 8, offset + 8, 8)), PackProblem::Stray { .. }));
    assert!(matches!(changed(&|bytes| set(bytes, ir + 8, u64::MAX, 8)), PackProblem::Truncated { .. }));
    let limit = 16 << 20;
    assert_eq!(
        changed(&|bytes| set(bytes, ir + 16, u64::MAX, 8)),
        PackProblem::SectionTooLarge { section: SectionId::IR, length: u64::MAX, limit }
    );
    assert_eq!(changed(&|bytes| set(bytes, ir + 4, 1, 4)), PackProblem::Detached(SectionId::IR));
    let programs = entry(&good, SectionId::PROGRAMS);
    assert_eq!(changed(&|bytes| set(bytes, programs + 4, 1, 4)), PackProblem::Detached(SectionId::PROGRAMS));
    assert_eq!(
        changed(&|bytes| {
            set(bytes, ir, 1000, 4);
            rehash(bytes);
        }),
        PackProblem::Missing(SectionId::IR)
    );
    let start = u64::from_le_bytes(good[manifest + 8..manifest + 16].try_into().expect("8 bytes")) as usize;
    assert_eq!(
        changed(&|bytes| {
            bytes[start + 5] = 0xff;
            rehash(bytes);
        }),
        PackProblem::Text { section: SectionId::MANIFEST, offset: 5 }
    );
    assert!(matches!(
        changed(&|bytes| {
            bytes[start] = b'[';
            rehash(bytes);
        }),
        PackProblem::Manifest(_)
    ));
    assert!(matches!(
        changed(&|bytes| {
            let start = offset as usize;
            bytes[start] = 0xff;
            rehash(bytes);
        }),
        PackProblem::Decode { section: SectionId::IR, .. } | PackProblem::Ir(_)
    ));
    let large = vec![0; MAX_PACK_SIZE as usize + 1];
    assert_eq!(problem(&large), PackProblem::Magic);
    let mut large = large;
    large[..16].copy_from_slice(&good[..16]);
    assert_eq!(problem(&large), PackProblem::TooLarge { length: MAX_PACK_SIZE + 1 });
}

#[test]
fn the_hooks_are_those_of_the_kinds_that_a_block_can_want() {
    let hooks = |actions: &[(&str, Option<u32>)]| {
        let mut builder = builder();
        let action = |(action, state): &(&str, Option<u32>)| ActionInfo {
            action: (*action).to_owned(),
            state: *state,
            ..ActionInfo::default()
        };
        builder.manifest.rules[1].actions = actions.iter().map(action).collect();
        builder.build().expect("a valid pack").manifest().required_hooks.clone()
    };
    // The rules want any event of a process, of which the end, a new session and memory files cannot be refused.
    let process = [
        "lsm/bpf",
        "lsm/bprm_check_security",
        "lsm/file_mprotect",
        "lsm/kernel_load_data",
        "lsm/kernel_read_file",
        "lsm/mmap_file",
        "lsm/ptrace_access_check",
        "lsm/ptrace_traceme",
        "lsm/task_alloc",
        "lsm/task_fix_setgid",
        "lsm/task_fix_setuid",
        "lsm/task_kill",
    ];
    let found = hooks(&[("block", Some(0))]);
    assert_eq!(found, process);
    assert_eq!(hooks(&[("block", None), ("alert", None)]), found);
    let none: [String; 0] = [];
    assert_eq!(hooks(&[("block", Some(9))]), none, "there is no such step");
    assert_eq!(hooks(&[("kill_process", Some(0)), ("quarantine_file", None), ("alert", None)]), none);
}

/// The tests that readers of format 2.1 know: a copy that does not grow.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
enum OldTest {
    FileName,
    FileExtension,
    PathComponent,
    PathPrefix,
    ProcessName,
    UserId,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct OldKeys {
    kind: u16,
    keys: Vec<(OldTest, String)>,
}

/// Section 10 as a reader of format 2.1 takes it, all of it; `None` when it is not there.
fn old_keys(pack: &Pack) -> Option<Vec<OldKeys>> {
    let (keys, rest) = postcard::take_from_bytes(pack.section(SectionId(10))?).expect("an old reader reads it");
    assert!(rest.is_empty());
    Some(keys)
}

#[test]
fn tests_of_the_filter_that_old_readers_do_not_know_have_a_section_of_their_own() {
    let of = |kind: u16, tests: &[FilterTest]| {
        let keys = tests.iter().map(|&test| FilterKey { test, text: "x".to_owned() });
        KindKeys { kind, keys: keys.collect() }
    };
    use FilterTest::*;
    let old = [FileName, FileExtension, PathComponent, PathPrefix, ProcessName, UserId];
    let old_ones = [OldTest::FileName, OldTest::FileExtension, OldTest::PathComponent, OldTest::PathPrefix];
    let old_ones = [&old_ones[..], &[OldTest::ProcessName, OldTest::UserId]].concat();
    for test in FilterTest::ALL {
        let filter_keys =
            vec![of(1, &[]), of(2, &[ProcessName, test][usize::from(test <= ProcessName)..]), of(7, &old)];
        let pack = PackBuilder { filter_keys: filter_keys.clone(), ..builder() }.build().expect("a valid pack");
        assert_eq!(pack.filter_keys(), filter_keys, "{test:?}");
        let kinds: Vec<u16> = old_keys(&pack).expect("some are old").iter().map(|keys| keys.kind).collect();
        let is_old = old.contains(&test);
        assert_eq!(kinds, if is_old { vec![1, 2, 7] } else { vec![1, 7] }, "{test:?}");
        assert_eq!(pack.section(SectionId(12)).is_some(), !is_old, "{test:?}");
        let all = old_keys(&pack).and_then(|keys| keys.into_iter().next_back()).expect("the last kind");
        assert_eq!(all.keys.into_iter().map(|(test, _)| test).collect::<Vec<_>>(), old_ones);
    }
    let pack = PackBuilder { filter_keys: vec![of(2, &[FilePattern])], ..builder() }.build().expect("a valid pack");
    assert_eq!((old_keys(&pack), pack.filter_keys()), (None, &[of(2, &[FilePattern])][..]));
}

#[test]
fn a_section_10_with_all_tests_reads_as_well() {
    let of = |kind: u16, test| KindKeys { kind, keys: vec![FilterKey { test, text: "x".to_owned() }] };
    let filter_keys = vec![of(2, FilterTest::FilePattern), of(3, FilterTest::UserId)];
    let pack = PackBuilder { filter_keys: filter_keys.clone(), ..builder() }.build().expect("a valid pack");
    let read = |old: &[KindKeys], more: &[KindKeys]| {
        Pack::read(&assembled(&pack, |id| match id {
            SectionId::FILTER_KEYS => Some(postcard::to_allocvec(old).expect("they encode")),
            SectionId::MORE_FILTER_KEYS => Some(postcard::to_allocvec(more).expect("they encode")),
            _ => None,
        }))
    };
    assert_eq!(read(&filter_keys, &[]).expect("a valid pack").filter_keys(), filter_keys);
    assert_eq!(read(&filter_keys[1..], &filter_keys[..1]).expect("a valid pack").filter_keys(), filter_keys);
    for (old, more) in
        [(&filter_keys[..], &filter_keys[..1]), (&[of(3, FilterTest::UserId), of(2, FilterTest::UserId)], &[])]
    {
        let problem = read(old, more).expect_err("a kind twice, or not in order").to_string();
        assert!(problem.contains("the filter keys' kinds are not sorted, or one is there twice"), "{problem}");
    }
}

#[test]
fn versions_say_what_to_do() {
    let mut bytes = bytes();
    bytes[8] = 9;
    let message = Pack::read(&bytes).expect_err("another version").to_string();
    assert_eq!(
        message,
        "the pack has format version 9.2 and this build reads 2.x: use a newer engine, or build the rules with an older compiler"
    );
    bytes[8] = 2;
    bytes[10] = 7;
    rehash(&mut bytes);
    assert!(Pack::read(&bytes).is_ok(), "a newer minor version reads");
}

#[test]
fn sections_outside_the_hash_keep_it_and_unknown_ones_are_skipped() {
    let pack = Pack::read(&bytes()).expect("a valid pack");
    let unknown = pack.with_detached_section(SectionId(4711), b"from the future").expect("a valid pack");
    assert_eq!(unknown.content_hash(), pack.content_hash());
    assert_eq!(unknown.section(SectionId(4711)), Some(&b"from the future"[..]));
    let again = unknown.with_detached_section(SectionId(4711), b"other").expect("a valid pack");
    assert_eq!(again.section(SectionId(4711)), Some(&b"other"[..]));
    let read = Pack::read(&again.write()).expect("unknown sections are skipped");
    assert_eq!(read.ir(), pack.ir());
    assert_eq!(read.sections().len(), pack.sections().len() + 1);
    // Whatever this build knows is inside the hash, the signatures alone are not.
    for id in (1..=u32::from(u8::MAX)).map(SectionId).filter(|id| id.name().is_some() && *id != SectionId::SIGNATURE) {
        let problem = pack.with_detached_section(id, b"").expect_err("it is inside the hash");
        assert_eq!(problem.problem(), &PackProblem::Detached(id));
    }
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let refused = |change: &dyn Fn(&mut PackBuilder), expected: &str| {
        let mut builder = builder();
        change(&mut builder);
        let message = builder.build().expect_err(expected).to_string();
        assert_eq!(message, format!("the pack contradicts itself: {expected}"));
    };
    refused(&|parts| parts.manifest.rules.swap(0, 1), "the manifest's rules are not those of the IR");
    refused(&|parts| parts.manifest.schema_hash.push('0'), "the schema's hash is not 64 hexadecimal digits");
    refused(&|parts| parts.filters.known.clear(), "the filter maps want a kind that they do not know");
    refused(&|parts| parts.filters.known.swap(0, 1), "the filter maps' kinds are not sorted, or one is there twice");
    refused(&|parts| parts.filters.reasons.clear(), "the filter maps' reasons are not about their kinds");
    refused(&|parts| parts.sources.truncate(1), "rule \"one\" names a source that is not there");
    refused(&|parts| parts.programs.clear(), "the programs are not those of the IR");
    let name = |parts: &mut PackBuilder| parts.programs[0].name.push('x');
    refused(&name, "the programs are not those of the IR");
    let long = |parts: &mut PackBuilder| parts.programs[0].bytes = vec![0; MAX_PROGRAM + 1];
    refused(&long, "program \"three/predicate.lua\" has 4194305 bytes, at most 4194304 are allowed");
    let twice = |parts: &mut PackBuilder| parts.tests.push(parts.tests[0].clone());
    refused(&twice, "the tests are not sorted by path, or one is there twice");
    for path in ["/etc/passwd", "../x", "a/../b", "a//b", "", "a\\b", "c:x", "./a"] {
        let name = |parts: &mut PackBuilder| parts.tests[0].path = path.to_owned();
        refused(&name, &format!("{path:?} is no path inside a pack"));
    }
    let rewritten = |change: &dyn Fn(&mut Manifest), expected: &str| {
        let problem = problem(&with_manifest(change));
        assert_eq!(problem, PackProblem::Inconsistent(expected.to_owned()));
    };
    rewritten(&|manifest| manifest.state_budget.steps = 2, "the state budget is not that of the rules");
    let smaller = |manifest: &mut Manifest| {
        manifest.state_budget.worst_case.as_mut().expect("the fixture has a sequence").bytes_per_key = 1;
    };
    rewritten(&smaller, "the state budget is not that of the rules");
    // Earlier compilers did not say it.
    Pack::read(&with_manifest(&|manifest| manifest.state_budget.worst_case = None)).expect("an older pack");
    rewritten(
        &|manifest| manifest.required_fields.truncate(2),
        "the required fields are not those that the rules read",
    );
    let order = "the required hooks are too many, not sorted, or one is there twice";
    let hooks = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    rewritten(&|manifest| manifest.required_hooks = hooks(&["lsm/b", "lsm/a"]), order);
    rewritten(&|manifest| manifest.required_hooks = hooks(&["lsm/a", "lsm/a"]), order);
    rewritten(&|manifest| manifest.required_hooks = (100..165).map(|number| format!("lsm/{number}")).collect(), order);
    rewritten(&|manifest| manifest.required_hooks = hooks(&["\x1b[2J"]), "\"\\u{1b}[2J\" is no name of a hook");
    let mut builder = builder();
    builder.ir.predicates.clear();
    let message = builder.build().expect_err("an IR that is not valid").to_string();
    assert_eq!(
        message,
        "the pack's rules are not valid: rule 0 \"one\": there is no p0; rule 1 \"two\": there is no p0; rule 1 \"two\": there is no p0; rule 1 \"two\": there is no p0; rule 2 \"three\": there is no p0"
    );
}

#[test]
fn a_suppression_is_by_fields_of_the_frames_and_for_some_time() {
    use kestrel_ir::pack::{MAX_SUPPRESSION_FIELDS, SuppressionInfo};
    let build = |names: &[&str], window: i64| {
        let mut builder = builder();
        let by = names.iter().map(|name| (*name).to_owned()).collect();
        builder.manifest.rules[0].suppression = Some(SuppressionInfo { by, window, tell_missing: true });
        builder.build().map_err(|error| error.to_string())
    };
    let pack = build(&["process.name"], 1).expect("a valid pack");
    let again = Pack::read(&pack.write()).expect("it is read back");
    assert_eq!(again.manifest().rules[0].suppression, pack.manifest().rules[0].suppression);
    assert!(
        !String::from_utf8_lossy(builder().build().expect("a pack").section(SectionId::MANIFEST).expect("it"))
            .contains("suppression")
    );
    let many = ["process.name"; MAX_SUPPRESSION_FIELDS + 1];
    for (names, window) in [(&["process.name"][..], 0), (&["no.such"], 1), (&many, 1)] {
        let error = build(names, window).expect_err("it cannot be");
        assert!(error.contains("rule \"one\" asks for a suppression that cannot be"), "{error}");
    }
}

#[test]
fn what_the_manifest_says_of_programs_is_what_the_ir_says() {
    let pack = builder().build().expect("a valid pack");
    let manifest = pack.manifest();
    assert_eq!(manifest.capabilities, ["fields", "state"]);
    let predicate = manifest.rules[2].predicate.as_ref().expect("a predicate");
    assert_eq!((predicate.language.as_str(), &predicate.fields[..]), ("lua", &["process.name".to_owned()][..]));
    assert_eq!(pack.programs()[0].bytes, b"pred_abi = 1");
    // A manifest that tells less than the programs may do is refused.
    let text = String::from_utf8(pack.section(SectionId::MANIFEST).expect("a manifest").to_vec()).expect("JSON");
    for (from, to, expected) in [
        ("\"state\"\n  ],\n  \"state_budget", "\"stale\"", "the capabilities are not those of the programs"),
        ("\"language\": \"lua\"", "\"language\": \"lux\"", "rule \"three\" has another predicate than the IR says"),
    ] {
        let mut bytes = pack.write();
        let at = text.find(from).expect(from);
        let start = entry(&bytes, SectionId::MANIFEST) + 8;
        let start = u64::from_le_bytes(bytes[start..start + 8].try_into().expect("8 bytes")) as usize;
        bytes[start + at..start + at + to.len()].copy_from_slice(to.as_bytes());
        rehash(&mut bytes);
        assert_eq!(problem(&bytes), PackProblem::Inconsistent(expected.to_owned()));
    }
}

#[test]
fn a_schema_fits_when_the_fields_that_are_read_mean_the_same() {
    let pack = Pack::read(&bytes()).expect("a valid pack");
    assert_eq!(pack.check_schema(&Schema::ecs()), Ok(()));
    let schema = |text: &str| Schema::from_toml(text).expect("a schema");
    let wider = schema("name = \"mine\"\nextends = \"ecs\"\n[fields]\n\"my.field\" = \"long\"\n");
    assert_eq!(pack.check_schema(&wider), Ok(()));
    let narrow = schema(
        "name = \"mine\"\n[event]\ncategory = \"event.category\"\ntimestamp = \"@timestamp\"\n[fields]\n\"@timestamp\" = \"date\"\n\"event.category\" = \"keyword\"\n\"process.name\" = \"long\"\n",
    );
    assert_eq!(
        pack.check_schema(&narrow).expect_err("other fields").to_string(),
        "the pack was built for schema `ecs`, under which fields differ: `process.name` was keyword and is long, \
         `process.entity_id` is unknown"
    );
}

#[test]
fn generated_irs_travel_in_packs() {
    for seed in 0..100 {
        let ir = generate::ir(&mut generate::Random::new(seed));
        let rule = |id: &str| RuleInfo { id: id.to_owned(), ..RuleInfo::default() };
        let rules = ir.rules.iter().map(|entry| rule(&entry.id)).collect();
        let file = |program: &Program| ProgramFile { name: program.name.clone(), bytes: vec![seed as u8] };
        let programs = ir.programs.iter().map(file).collect();
        let manifest = Manifest { rules, schema_hash: "0".repeat(64), ..Manifest::default() };
        let pack = PackBuilder { programs, ..PackBuilder::new(manifest, ir.clone()) }
            .build()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(Pack::read(pack.bytes()).expect("a valid pack").ir(), &ir, "seed {seed}");
    }
}
