//! The rules, described once for all engines; each engine's module writes them in its own language.
//!
//! In: a seed and how many. Out: rules about processes that start on Linux: all of some tests, and any of some others.
//! Every text is of lower-case letters, digits, `-`, `/`, `.` and `=`, none looks like a number, and no name begins with
//! `i`, so that no language's quoting, case or prefixes change what a rule means.

use kestrel_conformance::generate::Random;

/// A field that a rule tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `process.name`
    Name,
    /// `process.executable`
    Executable,
    /// `process.command_line`
    CommandLine,
    /// `process.args`, a list: a test holds when it holds for one element.
    Args,
    /// `process.parent.name`
    ParentName,
}

impl Field {
    /// The dotted name of the Elastic Common Schema.
    pub fn name(self) -> &'static str {
        match self {
            Field::Name => "process.name",
            Field::Executable => "process.executable",
            Field::CommandLine => "process.command_line",
            Field::Args => "process.args",
            Field::ParentName => "process.parent.name",
        }
    }
}

/// How a text is compared. Case counts, and no text of an event has capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The whole text.
    Is,
    /// Its beginning.
    Starts,
    /// Its end.
    Ends,
    /// Some part of it.
    Contains,
    /// Two parts, one behind the other, written with a `*` between them.
    InOrder,
}

/// One test: it holds when it holds for one of the texts.
#[derive(Debug, Clone)]
pub struct Test {
    /// Which field.
    pub field: Field,
    /// How it is compared.
    pub how: How,
    /// With what; more than one for [`How::Is`] alone.
    pub texts: Vec<String>,
}

/// A rule: all of `all`, and one of `any` unless that is empty.
#[derive(Debug, Clone)]
pub struct Rule {
    /// All of these.
    pub all: Vec<Test>,
    /// One of these.
    pub any: Vec<Test>,
}

/// What kind of rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// All alike: a program's name, and a part of the command line or the parent's name.
    Named,
    /// Half of them like that; lists of names, prefixes and suffixes of paths, elements of lists, patterns.
    Mixed,
}

impl Shape {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Named => "named",
            Shape::Mixed => "mixed",
        }
    }
}

/// How many names of programs the rules and events speak of.
pub const NAMES: usize = 500;

/// A word that is no number in any base, of two syllables or more.
pub fn word(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..2 + random.below(2) {
        text.push(random.pick(&['k', 'm', 'n', 'r', 's', 't', 'v', 'p', 'l', 'z', 'g', 'h']));
        text.push(random.pick(&['a', 'e', 'i', 'o', 'u']));
    }
    text + random.pick(&["", "n", "sh", "ctl", "d", "x"])
}

/// The names of programs.
pub fn names(random: &mut Random) -> Vec<String> {
    let mut names = Vec::with_capacity(NAMES);
    while names.len() < NAMES {
        let name = word(random);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A part of a command line that no event has by chance.
fn part(random: &mut Random) -> String {
    match random.below(4) {
        0 => format!("--{}-{}={}", word(random), word(random), word(random)),
        1 => format!("/{}/{}.{}", word(random), word(random), word(random)),
        2 => format!("{}-{}.{}.example", word(random), word(random), word(random)),
        _ => format!("--{}={}/{}", word(random), word(random), word(random)),
    }
}

/// `count` rules; a longer list begins with a shorter one.
pub fn make(seed: u64, names: &[String], shape: Shape, count: usize) -> Vec<Rule> {
    let mut random = Random::new(seed);
    let kind = |number| if shape == Shape::Mixed { number % 10 } else { 0 };
    (0..count).map(|number| one(kind(number), &mut random, names)).collect()
}

fn one(kind: usize, random: &mut Random, names: &[String]) -> Rule {
    let test = |field, how, text: String| Test { field, how, texts: vec![text] };
    let name = |random: &mut Random| names[random.below(names.len())].clone();
    let list = |random: &mut Random, field| {
        let count = 2 + random.below(5);
        let mut texts: Vec<String> = (0..count).map(|_| name(random)).collect();
        texts.sort();
        texts.dedup();
        Test { field, how: How::Is, texts }
    };
    match kind {
        0..=4 => Rule {
            all: vec![test(Field::Name, How::Is, name(random))],
            any: vec![
                test(Field::CommandLine, How::Contains, part(random)),
                test(Field::ParentName, How::Is, word(random) + "-launcher"),
            ],
        },
        5 | 6 => Rule {
            all: vec![list(random, Field::Name), test(Field::CommandLine, How::Contains, part(random))],
            any: Vec::new(),
        },
        7 => Rule {
            all: vec![
                test(Field::Executable, How::Starts, format!("/opt/{}-{}/", word(random), word(random))),
                test(Field::CommandLine, How::Contains, part(random)),
            ],
            any: Vec::new(),
        },
        8 => Rule {
            all: vec![test(Field::Name, How::Is, name(random)), test(Field::Args, How::Is, part(random))],
            any: Vec::new(),
        },
        _ => Rule {
            all: vec![test(Field::Executable, How::Ends, format!("/bin/{}", name(random)))],
            any: vec![
                test(Field::CommandLine, How::InOrder, format!("{}*{}", part(random), word(random))),
                test(Field::ParentName, How::Is, word(random) + "-launcher"),
            ],
        },
    }
}

impl Test {
    /// Whether it holds for a text: the description's own meaning, for making events and as a check on the engines.
    pub fn holds(&self, subject: &str) -> bool {
        self.texts.iter().any(|text| match self.how {
            How::Is => subject == text,
            How::Starts => subject.starts_with(text.as_str()),
            How::Ends => subject.ends_with(text.as_str()),
            How::Contains => subject.contains(text.as_str()),
            How::InOrder => text.split_once('*').is_some_and(|(first, second)| {
                subject.find(first).is_some_and(|at| subject[at + first.len()..].contains(second))
            }),
        })
    }
}
