//! Packs: the same parts give the same bytes, what is written reads back, and no damage goes unnoticed.

use kestrel_ir::model::Program;
use kestrel_ir::pack::{
    ActionInfo, CompilerInfo, DETACHED, EventFieldsInfo, FilterMaps, HEADER_SIZE, KindReason, MAX_PACK_SIZE,
    MAX_PROGRAM, Manifest, Pack, PackBuilder, PackFile, PackProblem, PredicateInfo, ProgramFile, RuleInfo, SectionId,
    TacticInfo, TechniqueInfo, ThreatInfo,
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
    assert_eq!(pack.write(), bytes);
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
fn a_pack_with_the_hash_of_its_damage_never_panics() {
    let bytes = bytes();
    let mut random = generate::Random::new(3);
    let mut read = 0;
    for at in HEADER_SIZE..bytes.len() {
        for _ in 0..4 {
            let mut changed = bytes.clone();
            changed[at] = random.below(256) as u8;
            rehash(&mut changed);
            read += usize::from(Pack::read(&changed).is_ok());
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
    assert_eq!(changed(&|bytes| set(bytes, 8, 3, 2)), PackProblem::Version { major: 3, minor: 0 });
    assert_eq!(changed(&|bytes| set(bytes, 8, 1, 2)), PackProblem::Version { major: 1, minor: 0 });
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
fn versions_say_what_to_do() {
    let mut bytes = bytes();
    bytes[8] = 9;
    let message = Pack::read(&bytes).expect_err("another version").to_string();
    assert_eq!(
        message,
        "the pack has format version 9.0 and this build reads 2.x: use a newer engine, or build the rules with an older compiler"
    );
    bytes[8] = 2;
    bytes[10] = 7;
    rehash(&mut bytes);
    assert!(Pack::read(&bytes).is_ok(), "a newer minor version reads");
}

#[test]
fn sections_outside_the_hash_keep_it_and_unknown_ones_are_skipped() {
    let pack = Pack::read(&bytes()).expect("a valid pack");
    let signed = pack.with_detached_section(SectionId::SIGNATURE, b"signature").expect("a valid pack");
    assert_eq!(signed.content_hash(), pack.content_hash());
    assert_eq!(signed.section(SectionId::SIGNATURE), Some(&b"signature"[..]));
    let signed_again = signed.with_detached_section(SectionId::SIGNATURE, b"other").expect("a valid pack");
    assert_eq!(signed_again.section(SectionId::SIGNATURE), Some(&b"other"[..]));
    let unknown = signed.with_detached_section(SectionId(4711), b"from the future").expect("a valid pack");
    let read = Pack::read(&unknown.write()).expect("unknown sections are skipped");
    assert_eq!(read.ir(), pack.ir());
    assert_eq!(read.sections().len(), pack.sections().len() + 2);
    assert!(pack.with_detached_section(SectionId::IR, b"").is_err());
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
    let mut builder = builder();
    builder.ir.predicates.clear();
    let message = builder.build().expect_err("an IR that is not valid").to_string();
    assert_eq!(
        message,
        "the pack's rules are not valid: rule 0 \"one\": there is no p0; rule 1 \"two\": there is no p0; rule 1 \"two\": there is no p0; rule 1 \"two\": there is no p0; rule 2 \"three\": there is no p0"
    );
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
