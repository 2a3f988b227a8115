//! The events: processes that start on a Linux host, as JSON documents of the Elastic Common Schema.
//!
//! In: a seed, the rules, how many. Out: events, about one in a hundred of which some rule finds; and events to check
//! engines by, of which half are made to be found and others just miss.

use kestrel_conformance::generate::Random;
use serde_json::{Value as Json, json};

use crate::rules::{Field, How, Rule, Test, word};

/// One event, as far as events differ.
#[derive(Debug, Clone)]
pub struct Event {
    number: usize,
    /// `process.name`
    pub name: String,
    /// `process.executable`
    pub executable: String,
    /// `process.args`; the command line is these, with spaces between.
    pub args: Vec<String>,
    /// `process.parent.name`
    pub parent: String,
    directory: String,
    user: String,
    hash: u64,
}

/// Events and the rules' own answer about them.
#[derive(Debug)]
pub struct Events {
    /// The events.
    pub events: Vec<Event>,
    /// What the rules find by their description: (event, rule), in order.
    pub hits: Vec<(u32, u32)>,
}

impl Event {
    /// `process.command_line`
    pub fn command_line(&self) -> String {
        self.args.join(" ")
    }

    fn made(number: usize, random: &mut Random, names: &[String]) -> Event {
        // Three of four programs are such as no rule speaks of.
        let name = if random.percent(25) { names[random.below(names.len())].clone() } else { word(random) + "-svc" };
        let folder = random.pick(&["/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin", "/usr/libexec"]);
        let executable = format!("{folder}/{name}");
        let mut args = vec![executable.clone()];
        for _ in 0..1 + random.below(7) {
            args.push(match random.below(5) {
                0 => format!("--{}", word(random)),
                1 => format!("--{}={}", word(random), word(random)),
                2 => format!("/var/lib/{}/{}.json", word(random), word(random)),
                3 => format!("-{}", random.pick(&['a', 'c', 'v', 'x', 'q'])),
                _ => word(random),
            });
        }
        let parent = random.pick(&["bash", "sh", "systemd", "cron", "sshd", "containerd-shim", "sudo"]).to_owned();
        let directory = format!("/home/{}", word(random));
        Event { number, name, executable, args, parent, directory, user: word(random), hash: random.bits() }
    }

    fn satisfy(&mut self, test: &Test, random: &mut Random) {
        let text = &test.texts[random.below(test.texts.len())];
        match (test.field, test.how) {
            (Field::Name, _) => {
                self.name.clone_from(text);
                self.executable = format!("/usr/bin/{text}");
            }
            (Field::Executable, How::Starts) => self.executable = format!("{text}bin/{}", self.name),
            (Field::Executable, _) => self.executable = format!("/usr/local{text}"),
            (Field::ParentName, _) => self.parent.clone_from(text),
            (Field::CommandLine, How::InOrder) => self.args.push(text.replace('*', " --then ")),
            (Field::CommandLine, How::Contains) => self.args.push(format!("{text}/{}", word(random))),
            (Field::CommandLine | Field::Args, _) => self.args.push(text.clone()),
        }
    }

    fn found_by(&self, rule: &Rule, line: &str) -> bool {
        let holds = |test: &Test| match test.field {
            Field::Name => test.holds(&self.name),
            Field::Executable => test.holds(&self.executable),
            Field::CommandLine => test.holds(line),
            Field::Args => self.args.iter().any(|element| test.holds(element)),
            Field::ParentName => test.holds(&self.parent),
        };
        rule.all.iter().all(holds) && (rule.any.is_empty() || rule.any.iter().any(holds))
    }

    /// The event as nested JSON.
    pub fn document(&self) -> Json {
        let second = self.number / 100;
        let time = format!(
            "2026-05-04T{:02}:{:02}:{:02}.{:03}Z",
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            self.number % 100 * 10
        );
        let (pid, hash) = (2000 + self.number % 60_000, format!("{:016x}", self.hash).repeat(4));
        json!({
            "@timestamp": time,
            "agent": { "id": "5a1f2e60-7c0e-4a53-9b8e-3c1d8f1f7a21", "type": "endpoint", "version": "1.0.0" },
            "ecs": { "version": "8.10.0" },
            "event": {
                "action": "exec", "category": ["process"], "id": format!("event-{}", self.number),
                "kind": "event", "module": "endpoint", "type": ["start"],
            },
            "group": { "id": 1000, "name": self.user },
            "host": {
                "architecture": "x86_64", "hostname": "build-17", "id": "9c1d0f6b6a534a1e9d5f0d7f2f1b7a11", "name": "build-17",
                "os": { "family": "debian", "kernel": "6.1.0-18-amd64", "name": "Linux", "type": "linux", "version": "12" },
            },
            "process": {
                "args": self.args, "args_count": self.args.len(), "command_line": self.command_line(),
                "entity_id": format!("entity-{}", self.number), "executable": self.executable,
                "hash": { "sha256": hash }, "interactive": false, "name": self.name,
                "parent": {
                    "entity_id": format!("entity-parent-{}", self.number % 977),
                    "executable": format!("/usr/bin/{}", self.parent), "name": self.parent, "pid": 1000 + self.number % 977,
                },
                "pid": pid, "start": time, "working_directory": self.directory,
            },
            "user": { "id": "1000", "name": self.user },
        })
    }
}

/// Events to measure by: about one in a hundred is found by one of the first `among` rules.
pub fn to_measure(seed: u64, names: &[String], rules: &[Rule], among: usize, count: usize) -> Events {
    let mut random = Random::new(seed);
    let events = (0..count)
        .map(|number| {
            let mut event = Event::made(number, &mut random, names);
            if random.once_in(100) {
                plant(&mut event, &rules[random.below(among.min(rules.len()))], &mut random);
            }
            event
        })
        .collect();
    answered(events, rules)
}

/// Events to check by: half are found by a rule, a quarter miss it by one test, the others are as they come.
pub fn to_check(seed: u64, names: &[String], rules: &[Rule], count: usize) -> Events {
    let mut random = Random::new(seed);
    let events = (0..count)
        .map(|number| {
            let mut event = Event::made(number, &mut random, names);
            let rule = &rules[random.below(rules.len())];
            match number % 4 {
                0 | 1 => plant(&mut event, rule, &mut random),
                2 => {
                    let spared = random.below(rule.all.len());
                    let kept = rule.all.iter().enumerate().filter(|(index, _)| *index != spared);
                    let tests: Vec<&Test> = kept.map(|(_, test)| test).chain(&rule.any).collect();
                    tests.into_iter().for_each(|test| event.satisfy(test, &mut random));
                }
                _ => {}
            }
            event
        })
        .collect();
    answered(events, rules)
}

fn plant(event: &mut Event, rule: &Rule, random: &mut Random) {
    rule.all.iter().for_each(|test| event.satisfy(test, random));
    if !rule.any.is_empty() {
        event.satisfy(&rule.any[random.below(rule.any.len())], random);
    }
}

fn answered(events: Vec<Event>, rules: &[Rule]) -> Events {
    let mut hits = Vec::new();
    for (event, subject) in events.iter().enumerate() {
        let line = subject.command_line();
        let found = rules.iter().enumerate().filter(|(_, rule)| subject.found_by(rule, &line));
        hits.extend(found.map(|(rule, _)| (event as u32, rule as u32)));
    }
    Events { events, hits }
}
