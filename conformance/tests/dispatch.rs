//! Dispatch leaves nothing out: for random events every predicate that holds is a candidate, before and after it has
//! measured, with more kinds of events than it keeps indexes for.

use std::path::PathBuf;

use kestrel_conformance::generate::{Random, seed};
use kestrel_conformance::replay::build;
use kestrel_core::atoms::Atoms;
use kestrel_core::dispatch::Dispatch;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{Ir, PredicateId};
use kestrel_schema::Schema;

const NAMES: [&str; 6] = ["bash", "Bash", "curl", "CURL.exe", "ſh", "nginx"];
const ARGUMENTS: [&str; 8] = ["-c", "/tmp/x.sh", "/TMP/Y", "http://a.b/c", "--kubeconfig=z", "Ünï", "&", ".hidden"];

/// Conditions of every shape that is indexed, and some that are not.
fn condition(random: &mut Random) -> String {
    let name = random.pick(&NAMES);
    let argument = random.pick(&ARGUMENTS);
    match random.below(14) {
        0 => format!("process.name == \"{name}\""),
        1 => format!("process.name : \"{name}\""),
        2 => format!("process.name in~ (\"{name}\", \"other\", \"{}\")", random.pick(&NAMES)),
        3 => format!("process.args == \"{argument}\""),
        4 => format!("process.args : (\"*{argument}*\", \"{name}*\")"),
        5 => format!("process.command_line like~ \"*{argument}\""),
        6 => format!("process.command_line like \"{argument}?*{name}\""),
        7 => "process.args regex~ \"\"\".*(tmp|TMP)/[a-z].*\"\"\"".to_owned(),
        8 => "process.args regex \"\"\"http://.*\"\"\"".to_owned(),
        9 => format!("process.pid == {}", random.below(4)),
        10 => format!("process.pid in ({}, {})", random.below(4), random.below(4)),
        11 => "process.args : (\".*\", \"*&\", \"?\")".to_owned(),
        12 => format!("length(process.name) == {}", random.below(8)),
        _ => "process.parent.name != null".to_owned(),
    }
}

fn query(random: &mut Random, actions: usize) -> String {
    let mut parts = vec![condition(random)];
    while random.once_in(2) {
        let condition = condition(random);
        parts.push(if random.once_in(4) { format!("not ({condition})") } else { condition });
    }
    let mut text = parts.join(if random.once_in(3) { " or " } else { " and " });
    if random.once_in(2) {
        text = format!("event.action : \"Action-{}\" and ({text})", random.below(actions));
    }
    if random.once_in(3) {
        text = format!("event.type == \"start\" and ({text})");
    }
    let category = random.pick(&["process", "any", "network"]);
    format!("{category} where {text}")
}

fn document(random: &mut Random, actions: usize) -> String {
    let mut fields = vec![
        "\"@timestamp\":0".to_owned(),
        format!("\"event.category\":[\"{}\"]", random.pick(&["process", "network", "file"])),
        format!("\"event.type\":[\"{}\",\"{}\"]", random.pick(&["start", "end"]), random.pick(&["info", "Start"])),
        format!("\"event.action\":\"{}-{}\"", random.pick(&["Action", "action"]), random.below(actions)),
        format!("\"process.name\":\"{}\"", random.pick(&NAMES)),
        format!("\"process.pid\":{}", random.below(5)),
    ];
    let arguments: Vec<&str> = (0..random.below(4)).map(|_| random.pick(&ARGUMENTS)).collect();
    fields.push(format!("\"process.args\":{arguments:?}"));
    fields.push(format!("\"process.command_line\":\"{}{}\"", arguments.join(" "), random.pick(&NAMES)));
    if random.once_in(2) {
        fields.push("\"process.parent.name\":\"init\"".to_owned());
    }
    format!("{{{}}}", fields.join(","))
}

/// The rules' IR.
fn rules(random: &mut Random, actions: usize, count: usize) -> Ir {
    let folder: PathBuf = std::env::temp_dir().join(format!("kestrel-dispatch-{}-{actions}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for number in 0..count {
        let rule = format!(
            "[rule]\nname = \"r{number}\"\nrule_id = \"r{number}\"\nlanguage = \"eql\"\ntype = \"eql\"\nquery = '''\n{}\n'''\n",
            query(random, actions)
        );
        std::fs::write(folder.join(format!("r{number}.toml")), rule).expect("a file");
    }
    let built = build(std::slice::from_ref(&folder)).expect("rules");
    std::fs::remove_dir_all(&folder).expect("it goes away");
    assert_eq!(built.failed, [], "all rules are right");
    built.pack.pack.ir().clone()
}

#[test]
fn every_predicate_that_holds_is_a_candidate() {
    let seed = seed(20_261_121);
    println!("KESTREL_SEED={seed}");
    let mut random = Random::new(seed);
    for actions in [3, 700] {
        let ir = rules(&mut random, actions, 150);
        let atoms = Atoms::new(&ir).expect("atoms");
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        let decoder = Decoder::new(&table, Schema::ecs().event());
        let mut builder = FrameBuilder::new(&ir.layout, &table);
        let mut dispatch = Dispatch::new(&ir, &table);
        let (mut event, mut candidates, mut asked, mut held) = (Event::new(), Vec::new(), 0, 0);
        const EVENTS: usize = 8_000;
        for _ in 0..EVENTS {
            let document = document(&mut random, actions);
            decoder.decode(document.as_bytes(), &mut event).expect("an event");
            candidates.clear();
            dispatch.candidates(&event, &mut candidates);
            assert!(candidates.is_sorted_by(|left, right| left < right), "ascending, each once: {candidates:?}");
            let frame = builder.build(&event);
            for id in (0..ir.predicates.len() as u32).map(PredicateId) {
                if atoms.interpreter().predicate(id, frame) {
                    held += 1;
                    assert!(candidates.binary_search(&id).is_ok(), "predicate {} holds for {document}", id.0);
                }
            }
            asked += candidates.len();
            if dispatch.wants_observation() {
                dispatch.observe(&event, frame, &atoms, &mut atoms.cache());
            }
        }
        let all = EVENTS * ir.predicates.len();
        println!("{actions} actions: {held} of {all} hold, {asked} are asked");
        assert!(held > EVENTS, "events that nothing holds for show nothing: {held}");
        assert!(asked < all / 2, "dispatch that picks {asked} of {all} is none");
    }
}
