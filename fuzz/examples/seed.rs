//! Writes seed corpora below `fuzz/corpus` from the project's own rules and suites.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_query, compile_rules};
use eqlc::rules::{files, load_all};
use eqlc::syntax::Dialect;
use kestrel_bpf::record::{
    Arguments, Body, Exec, Exit, Flags, Fork, Header, Kind, Network, Record, ReversedPath, Role, Task,
};
use kestrel_ir::text;
use kestrel_schema::Schema;

/// Seeds by target.
type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

const REGEXES: [&str; 12] = [
    "0(a|b)*c\nabac",
    "1[^a-c\\d]+\nxyz",
    "0\"a.b\"x{2,3}\na.bxx",
    "0<1-100>\n042",
    "0a~bc\nadc",
    "0.*foo.*&~(.*bar.*)\nafoo",
    "1(~(ab)|c&@)+\nabab",
    "0x{0,3}y?\nxxy",
    "0@#|\\w\\S\n_a",
    "0<007-120>(a&[a-f])\n010a",
    "1ß.?\nẞx",
    "0(((a{2}){2}){2}){2}\naaaa",
];

const SCHEMA: &str = "name = 'mine'\nextends = 'ecs'\ndynamic = true\n\n[event]\ncategory = 'kind'\ntimestamp = 'time'\n\n\
    [fields]\n'my.level' = 'long'\n'my.names' = 'keyword[]'\n";

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seeds = Seeds::new();
    seeds.insert("regex", REGEXES.iter().map(|seed| seed.as_bytes().to_vec()).collect());
    add(&mut seeds, "schema", SCHEMA.to_owned());
    let sources = files::read(&[root.join("rules")])?;
    let mut queries = Vec::new();
    let set = load_all(sources.clone());
    queries.extend(set.rules.iter().map(|rule| rule.query.clone()));
    for entry in fs::read_dir(root.join("conformance/suites"))? {
        let suite: toml::Value = toml::from_str(&fs::read_to_string(entry?.path())?)?;
        collect(&suite, "query", &mut queries);
        let mut schemas = Vec::new();
        collect(&suite, "schema", &mut schemas);
        schemas.into_iter().for_each(|schema| add(&mut seeds, "schema", schema));
        let mut documents = Vec::new();
        suite.get("events").into_iter().for_each(|events| strings(events, &mut documents));
        add(&mut seeds, "documents", documents.join("\n"));
        add(&mut seeds, "documents", format!("[{}]", documents.join(",\n")));
    }
    for (_, text) in &sources {
        add(&mut seeds, "rule_file", text.clone());
    }
    let schema = Schema::ecs();
    for query in queries {
        for target in ["tokens", "parse", "format", "compile"] {
            add(&mut seeds, target, query.clone());
        }
        for dialect in [Dialect::Elastic, Dialect::Endpoint] {
            if let (Some(ir), _) = compile_query(&query, &schema, dialect) {
                add(&mut seeds, "ir_text", text::print(&ir));
            }
        }
    }
    for rule in set.rules {
        let options = CompileOptions::default();
        let compilation = compile_rules(vec![rule], &options);
        if let Ok(pack) = build_pack(&compilation, &options.schema, PackOptions::default()) {
            let packs = seeds.entry("pack").or_default();
            packs.push(pack.write());
            packs.extend(pack.sign(&kestrel_fuzz::binary::signing_key()).map(|signed| signed.write()));
        }
    }
    seeds.insert("record", records().iter().map(Record::encode).collect());
    let recording = fs::read(root.join("rules/demo/recording.klog"))?;
    let start = recording.get(..recording.len().min(64 << 10)).unwrap_or_default();
    seeds.entry("klog").or_default().push(start.to_vec());
    seeds.entry("klog").or_default().push(fs::read(root.join("engine/tests/fixture/version-1.0.klog"))?);
    seeds.insert("klog_index", vec![index(40, 18, 64), index(40, 0, 64), index(3, 999, 5), index(0, 64, 0)]);
    seeds.insert("dns", vec![dns(false), dns(true)]);
    for request in [
        r#"{"command":"status"}"#,
        r#"{"command":"explain","rule":"r","key":["a",1],"limit":3}"#,
        r#"{"command":"bypass","kind":"file_open","on":true}"#,
    ] {
        add(&mut seeds, "control", request.to_owned());
    }
    add(&mut seeds, "spool", "\u{10}KSPOOL1\n an alert\u{1}".to_owned());
    for (target, seeds) in seeds {
        let folder = root.join("fuzz/corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{index:03}")), seed)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}

fn add(seeds: &mut Seeds, target: &'static str, text: String) {
    seeds.entry(target).or_default().push(text.into_bytes());
}

/// The texts of all entries of this name.
fn collect(value: &toml::Value, name: &str, out: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                match value.as_str() {
                    Some(text) if key == name => out.push(text.to_owned()),
                    _ => collect(value, name, out),
                }
            }
        }
        toml::Value::Array(values) => values.iter().for_each(|value| collect(value, name, out)),
        _ => {}
    }
}

/// All texts.
fn strings(value: &toml::Value, out: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => table.values().for_each(|value| strings(value, out)),
        toml::Value::Array(values) => values.iter().for_each(|value| strings(value, out)),
        toml::Value::String(text) => out.push(text.clone()),
        _ => {}
    }
}

/// A question, and an answer that refers back to it.
fn dns(answer: bool) -> Vec<u8> {
    let mut seed = vec![0x12, 0x34, if answer { 0x81 } else { 0x01 }, 0x80, 0, 1, 0, u8::from(answer), 0, 0, 0, 0];
    seed.extend_from_slice(b"\x07example\x03org\0\0\x01\0\x01");
    if answer {
        seed.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07");
    }
    seed
}

/// A range of times, and a time index of so many blocks; `docs/klog-format.md` has the layout.
fn index(entries: u32, stored: u32, header: u32) -> Vec<u8> {
    let mut seed = vec![10, 20];
    seed.extend_from_slice(b"KIDX");
    for number in [entries, header, 0] {
        seed.extend_from_slice(&number.to_le_bytes());
    }
    for entry in 0..i64::from(entries) {
        seed.extend_from_slice(&stored.to_le_bytes());
        seed.extend_from_slice(&1u32.to_le_bytes());
        seed.extend_from_slice(&(entry * 37 % 64).to_le_bytes());
        seed.extend_from_slice(&(entry * 37 % 64).to_le_bytes());
    }
    seed
}

fn records() -> [Record<'static>; 4] {
    let header = |kind| Header { kind, timestamp: 1_000, sequence: 1, cpu: 0, flags: Flags(0) };
    let task =
        Task { start_time: 42, pid: 42, parent_pid: 1, comm: *b"sleep\0\0\0\0\0\0\0\0\0\0\0", ..Task::default() };
    let exec = Exec {
        arguments_total: 8,
        argument_count: 2,
        filename: b"/bin/sleep",
        executable: ReversedPath::new(b"sleep\0bin\0usr\0", true),
        directory: ReversedPath::new(b"root\0", true),
        cgroup: ReversedPath::new(b"", true),
        arguments: Arguments::new(b"sleep\x001\0"),
        environment: Arguments::new(b"HOME=/\0"),
        environment_total: 7,
    };
    let network = Network {
        role: Role::Connected,
        protocol: 17,
        local: ([192, 0, 2, 1], 40_000).into(),
        remote: ([192, 0, 2, 53], 53).into(),
        bytes_sent: 0,
        bytes_received: 0,
        message: b"abc",
        message_length: 3,
    };
    [
        Record { header: header(Kind::Exec), task, body: Body::Exec(exec) },
        Record { header: header(Kind::Fork), task, body: Body::Fork(Fork { creator_start_time: 3, creator_pid: 9, cgroup: ReversedPath::new(b"x\0", true) }) },
        Record { header: header(Kind::Exit), task, body: Body::Exit(Exit { status: 0x0300 }) },
        Record { header: header(Kind::LookupRequested), task, body: Body::Network(network) },
    ]
}
