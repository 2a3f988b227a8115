//! Random well-typed queries and events over a handful of ECS fields: values are few, so that conditions often hold.

use serde_json::{Value as Json, json};

use super::Random;

const TEXT_FIELDS: [&str; 3] = ["process.name", "process.args", "process.executable"];
const NUMBER_FIELDS: [&str; 3] = ["process.pid", "process.exit_code", "process.args_count"];
const TEXTS: [&str; 8] = ["sh", "SH", "bash", "/bin/sh", "/tmp/x", "", "straße", "a\nb"];
const PATTERNS: [&str; 8] = ["*sh", "?h", "/tmp/*", "*", "b?s*", "STRASS*", "*ß*", "sh"];
const REGEXES: [&str; 5] = ["[a-z]+", ".*sh", "/(bin|tmp)/.+", "", "b?a?s+h"];
const NUMBERS: [i64; 7] = [-1, 0, 1, 2, 7, 4096, i64::MAX];
const KEYS: [&str; 3] = ["host.id", "user.id", "process.pid"];
const ADDRESSES: [&str; 4] = ["10.0.0.1", "192.168.7.7", "::1", "fe80::1"];
const BLOCKS: [&str; 4] = ["10.0.0.0/8", "0.0.0.0/0", "::/0", "fe80::/10"];

/// A query for single events.
pub fn query(random: &mut Random) -> String {
    let category = random.pick(&["any", "process", "file"]);
    format!("{category} where {}", condition(random, 4))
}

/// A query of any form: single events, a sequence, a sample, with pipes now and then.
pub fn any_query(random: &mut Random) -> String {
    let form = match random.below(4) {
        0 => sequence(random),
        1 => {
            let items: Vec<String> = (0..2 + random.below(2)).map(|_| format!("[{}]", query(random))).collect();
            format!("sample by {} {}", random.pick(&KEYS), items.join(" "))
        }
        _ => query(random),
    };
    let pipe = random.pick(&["", "", "", " | head 3", " | tail 2", " | head 9 | tail 1"]);
    format!("{form}{pipe}")
}

fn sequence(random: &mut Random) -> String {
    let keys = random.pick(&["", " by process.entity_id", " by host.id, ?user.id"]);
    let missing = random.once_in(2);
    let span = if missing || random.once_in(2) {
        random.pick(&[" with maxspan=5s", " with maxspan=250ms", " with maxspan=2h"])
    } else {
        ""
    };
    let mut text = format!("sequence{keys}{span} [{}]", query(random));
    for _ in 0..1 + random.below(3) {
        let bang = if missing && random.once_in(3) { "!" } else { "" };
        let runs = if bang.is_empty() && random.once_in(4) { " with runs=2" } else { "" };
        text.push_str(&format!(" {bang}[{}]{runs}", query(random)));
    }
    if random.once_in(3) {
        text.push_str(&format!(" until [{}]", query(random)));
    }
    text
}

/// A condition of at most `depth` levels.
fn condition(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 4 } else { 9 }) {
        0..4 => leaf(random),
        4 => format!("not {}", parenthesised(random, depth - 1)),
        5 | 6 => join(random, depth - 1, " and "),
        _ => join(random, depth - 1, " or "),
    }
}

fn parenthesised(random: &mut Random, depth: usize) -> String {
    format!("({})", condition(random, depth))
}

fn join(random: &mut Random, depth: usize, word: &str) -> String {
    let parts: Vec<String> = (0..2 + random.below(2)).map(|_| parenthesised(random, depth)).collect();
    parts.join(word)
}

fn leaf(random: &mut Random) -> String {
    let text = random.pick(&TEXT_FIELDS);
    let number = random.pick(&NUMBER_FIELDS);
    match random.below(16) {
        0 => format!("{text} {} {}", random.pick(&["==", "!=", "<", ">="]), quoted(random.pick(&TEXTS))),
        1 => format!("{text} {} {}", random.pick(&[":", "like", "like~"]), quoted(random.pick(&PATTERNS))),
        2 => format!("{text} {} ({})", random.pick(&[":", "like", "like~"]), list(random, &PATTERNS)),
        3 => format!("{text} {} ({})", random.pick(&["in", "in~", "not in"]), list(random, &TEXTS)),
        4 => format!("{text} {} {}", random.pick(&["regex", "regex~"]), quoted(random.pick(&REGEXES))),
        5 => format!("{number} {} {}", comparison(random), random.pick(&NUMBERS)),
        6 => format!("{number} {} {}.5", comparison(random), random.pick(&[0, 1, 7])),
        7 => {
            let numbers: Vec<String> = (0..1 + random.below(4)).map(|_| random.pick(&NUMBERS).to_string()).collect();
            format!("{number} in ({})", numbers.join(", "))
        }
        8 => format!("{} {} null", random.pick(&[text, number, "source.ip"]), random.pick(&["==", "!="])),
        9 => "process.interactive".to_owned(),
        10 => format!("process.interactive == {}", random.pick(&["true", "false"])),
        11 => format!("cidrMatch(source.ip, {})", list(random, &BLOCKS)),
        12 => format!("source.ip == {}", quoted(random.pick(&ADDRESSES))),
        13 => format!("length({text}) {} {}", comparison(random), random.below(8)),
        14 => {
            let function = random.pick(&["startsWith", "endsWith~", "stringContains", "startsWith~"]);
            format!("{function}({text}, {})", quoted(random.pick(&TEXTS)))
        }
        _ => format!(
            "{number} {} {} {} {}",
            random.pick(&["+", "-", "*", "/", "%"]),
            random.pick(&NUMBERS[2..6]),
            comparison(random),
            random.pick(&NUMBERS)
        ),
    }
}

fn comparison(random: &mut Random) -> &'static str {
    random.pick(&["==", "!=", "<", "<=", ">", ">="])
}

fn list(random: &mut Random, choices: &[&str]) -> String {
    let items: Vec<String> = (0..1 + random.below(4)).map(|_| quoted(random.pick(choices))).collect();
    items.join(", ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\""))
}

/// An event: each field missing, single or many-valued.
pub fn event(random: &mut Random, number: usize) -> Json {
    let mut event = json!({ "@timestamp": 1_700_000_000_000_u64 + number as u64 });
    let mut put = |name: &str, values: Vec<Json>| match values.len() {
        0 => {}
        1 => event[name] = values[0].clone(),
        _ => event[name] = Json::Array(values),
    };
    let counts = |random: &mut Random| [0, 1, 1, 1, 2, 3][random.below(6)];
    for name in TEXT_FIELDS {
        let count = counts(random);
        put(name, (0..count).map(|_| Json::from(random.pick(&TEXTS))).collect());
    }
    for name in NUMBER_FIELDS {
        let count = counts(random);
        put(name, (0..count).map(|_| Json::from(random.pick(&NUMBERS))).collect());
    }
    let count = counts(random);
    put("source.ip", (0..count).map(|_| Json::from(random.pick(&ADDRESSES))).collect());
    if !random.once_in(3) {
        put("process.interactive", vec![Json::from(random.once_in(2))]);
    }
    put("event.category", vec![Json::from(random.pick(&["process", "file", "network"]))]);
    event
}
