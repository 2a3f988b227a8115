//! Passes: what each makes of small IRs, and that none of them changes an answer, a guard's promise or a rule.
//!
//! Goldens are `passes/*.txt`: `## name`, an IR, `---`, the IR behind the pass. `BLESS=1` writes what comes out.

use std::fmt::Write;
use std::path::Path;

use kestrel_ir::event::Event;
use kestrel_ir::frame::{Frame, FrameBuilder};
use kestrel_ir::guards::{analyze_all, describe};
use kestrel_ir::interp::{Context, Interpreter};
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{
    Atom, AtomId, Comparison, Ir, LineageFields, Node, NodeId, Pipe, Predicate, PredicateId, Relation, Rule, RuleKind,
    Sequence, Step, Value, ValueId,
};
use kestrel_ir::passes::{Pass, Sizes, optimise, optimise_watched};
use kestrel_ir::text::{parse, print};
use kestrel_ir::verify::{MAX_DEPTH, verify};

mod generate;

/// Fields that stay though no rule reads them, in every test here.
const KEEP: [&str; 2] = ["event.action", "host.os.type"];

/// Runs every case of a golden file.
fn check(file: &str, run: impl Fn(&Ir) -> Ir) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes").join(file);
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    let mut fresh = String::new();
    for case in golden.split("## ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a case has a name");
        let before = rest.split("---\n").next().unwrap_or(rest).trim_end();
        let ir = parse(before).unwrap_or_else(|error| panic!("{file}, {name}: {error}"));
        verify(&ir).unwrap_or_else(|error| panic!("{file}, {name}: {error}"));
        let made = run(&ir);
        verify(&made).unwrap_or_else(|error| panic!("{file}, {name}: {error}\n{}", print(&made)));
        assert_eq!(settled(&run(&made)), settled(&made), "{file}, {name}: a second run changes something");
        let _ = write!(fresh, "## {name}\n{before}\n---\n{}\n", print(&made).trim_start_matches("# kestrel ir\n"));
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, fresh).expect("the golden file can be written");
    } else {
        assert_eq!(golden, fresh, "{file}; bless with BLESS=1");
    }
}

/// What the rules of an IR say (without rules, its predicates), without what is left over and its numbers.
fn settled(ir: &Ir) -> String {
    let mut ir = ir.clone();
    let predicates = if ir.rules.is_empty() { ir.predicates.len() as u32 } else { 0 };
    for predicate in 0..predicates {
        let kind = RuleKind::Event { predicate: PredicateId(predicate) };
        ir.rules.push(Rule { id: format!("of p{predicate}"), kind, pipes: Vec::new(), program: None });
    }
    print(&Pass::DeadCode.run(&ir, &KEEP))
}

#[test]
fn folding_leaves_nothing_that_is_decided() {
    check("folding.txt", |ir| Pass::Folding.run(ir, &KEEP));
}

#[test]
fn lists_join_what_any_will_do() {
    check("lists.txt", |ir| Pass::Lists.run(ir, &KEEP));
}

#[test]
fn factoring_asks_once_what_branches_share() {
    check("factoring.txt", |ir| Pass::Factoring.run(ir, &KEEP));
}

#[test]
fn ordering_puts_the_cheap_first() {
    check("ordering.txt", |ir| Pass::Ordering.run(ir, &KEEP));
}

#[test]
fn sharing_makes_equal_entries_one() {
    check("sharing.txt", |ir| Pass::Sharing.run(ir, &KEEP));
}

#[test]
fn dead_code_goes_and_what_rules_reach_stays() {
    check("dead-code.txt", |ir| Pass::DeadCode.run(ir, &KEEP));
}

#[test]
fn all_passes_together_make_the_smallest_ir() {
    check("optimise.txt", |ir| optimise(ir, &KEEP));
}

/// The first seed, and how many are tried; `KESTREL_SEED` sets the first.
fn seeds() -> std::ops::Range<u64> {
    let first = std::env::var("KESTREL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    println!("seeds from {first}, KESTREL_SEED sets the first");
    first..first + 600
}

/// A generated IR with everything that a pass could forget: a rule for each predicate, lineage, a joined condition, an
/// `until`, and pipes with nodes and values.
fn generated(random: &mut generate::Random) -> Ir {
    let mut ir = generate::ir(random);
    let text = FieldId(random.below(6) as u32);
    ir.lineage =
        Some(LineageFields { entity: FieldId(4), parent: FieldId(5), ancestry: FieldId(1), event_type: FieldId(2) });
    let node = |ir: &mut Ir, node: Node| {
        ir.nodes.push(node);
        NodeId(ir.nodes.len() as u32 - 1)
    };
    let atom = |ir: &mut Ir, atom: Atom| {
        ir.atoms.push(atom);
        AtomId(ir.atoms.len() as u32 - 1)
    };
    for relation in [Relation::Child, Relation::Descendant, Relation::Event] {
        if random.below(2) == 0 {
            continue;
        }
        let predicate = PredicateId(random.below(ir.predicates.len()) as u32);
        let lineage = atom(&mut ir, Atom::Lineage { relation, predicate });
        let lineage = node(&mut ir, Node::Atom(lineage));
        let other = ir.predicates[random.below(ir.predicates.len())].root;
        let root = match random.below(3) {
            0 => Node::And(vec![lineage, other]),
            1 => Node::Or(vec![other, lineage]),
            _ => Node::Not(lineage),
        };
        let root = node(&mut ir, root);
        ir.predicates.push(Predicate { category: None, root });
    }
    let values = ir.values.len() as u32;
    ir.values.push(Value::StepField { step: 0, field: text });
    ir.values.push(Value::Field(text));
    let comparison = if random.below(2) == 0 { Comparison::Equal } else { Comparison::NotEqual };
    ir.values.push(Value::Compare { comparison, left: ValueId(values), right: ValueId(values + 1) });
    let join = atom(&mut ir, Atom::Compute { value: ValueId(values + 2) });
    let join = node(&mut ir, Node::Atom(join));
    let root = ir.predicates[random.below(ir.predicates.len())].root;
    let joined =
        node(&mut ir, if random.below(2) == 0 { Node::And(vec![root, join]) } else { Node::Or(vec![join, root]) });
    let step = |random: &mut generate::Random, joined| Step {
        predicate: PredicateId(random.below(ir.predicates.len()) as u32),
        joined,
        keys: Vec::new(),
        missing: false,
    };
    let steps = vec![step(random, None), step(random, Some(joined)), step(random, None)];
    let until = Some(step(random, Some(joined)));
    let pipes = vec![Pipe::Filter(root), Pipe::Unique(vec![ValueId(values + 1), ValueId(1)])];
    let sequence = RuleKind::Sequence(Sequence { steps, maxspan: None, until });
    ir.rules.push(Rule { id: "joined".to_owned(), kind: sequence, pipes, program: None });
    for predicate in 0..ir.predicates.len() as u32 {
        let kind = RuleKind::Event { predicate: PredicateId(predicate) };
        ir.rules.push(Rule { id: format!("predicate {predicate}"), kind, pipes: Vec::new(), program: None });
    }
    ir
}

/// What an IR answers of one event after another, in the order of its rules.
struct Answers<'i> {
    ir: &'i Ir,
    interpreter: Interpreter,
    /// Which predicates earlier events fulfilled: the past that lineage asks about.
    past: Vec<bool>,
}

impl Answers<'_> {
    fn new(ir: &Ir) -> Answers<'_> {
        let interpreter = Interpreter::new(ir).expect("a verified IR");
        Answers { ir, interpreter, past: vec![false; ir.predicates.len()] }
    }

    fn lineage(&self) -> Vec<AtomId> {
        let holds = |(index, atom): (usize, &Atom)| match atom {
            Atom::Lineage { predicate, .. } => self.past[predicate.index()].then_some(AtomId(index as u32)),
            _ => None,
        };
        self.ir.atoms.iter().enumerate().filter_map(holds).collect()
    }

    /// Predicates and joined conditions of all terms, and what pipes look at.
    fn of(&mut self, frame: Frame<'_>, earlier: Frame<'_>) -> (Vec<bool>, String) {
        let lineage = self.lineage();
        let steps = [Some(earlier), None, None];
        let context = Context { steps: &steps, lineage: &lineage, scratch: None };
        let mut conditions = Vec::new();
        let mut values = String::new();
        for rule in &self.ir.rules {
            let predicates = rule.predicates();
            conditions.extend(predicates.iter().map(|&id| self.interpreter.predicate_with(id, frame, context)));
            let joined = rule.steps().filter_map(|step| step.joined);
            conditions.extend(joined.map(|node| self.interpreter.node_with(node, frame, context)));
            for pipe in &rule.pipes {
                if let Pipe::Filter(node) = pipe {
                    conditions.push(self.interpreter.node_with(*node, frame, context));
                }
                for &value in pipe.values() {
                    self.interpreter.value(value, frame, Context::default(), |value| {
                        let _ = write!(values, "{value:?} ");
                    });
                }
            }
        }
        for (index, guard) in analyze_all(self.ir).iter().enumerate() {
            let fulfilled = self.interpreter.predicate_with(PredicateId(index as u32), frame, context);
            let through = guard.holds(|atom| self.interpreter.atom_with(atom, frame, context));
            assert!(through || !fulfilled, "p{index}: {}\n{}", describe(self.ir, guard), print(self.ir));
            self.past[index] |= fulfilled;
        }
        (conditions, values)
    }
}

/// Holds one IR against another over generated events; gives how many conditions were true, and how many there were.
fn assert_same_answers(seed: u64, random: &mut generate::Random, before: &Ir, after: &Ir) -> (usize, usize) {
    let table = generate::table(before);
    let events: Vec<Event> = (0..8).map(|_| generate::event(random, &table, None)).collect();
    let (mut old, mut new) = (Answers::new(before), Answers::new(after));
    let mut builders = [before, before, after, after].map(|ir| FrameBuilder::new(&ir.layout, &table));
    let [old_frame, old_earlier, new_frame, new_earlier] = &mut builders;
    let (mut held, mut asked) = (0, 0);
    for (number, event) in events.iter().enumerate() {
        let earlier = &events[number / 2];
        let expected = old.of(old_frame.build(event), old_earlier.build(earlier));
        let answered = new.of(new_frame.build(event), new_earlier.build(earlier));
        assert_eq!(answered, expected, "seed {seed}, event {number}\n{}\n{}", print(before), print(after));
        held += expected.0.iter().filter(|held| **held).count();
        asked += expected.0.len();
    }
    (held, asked)
}

#[test]
fn optimised_rules_answer_as_before() {
    let (mut held, mut asked, mut smaller) = (0, 0, 0);
    for seed in seeds() {
        let mut random = generate::Random::new(seed);
        let ir = generated(&mut random);
        verify(&ir).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", print(&ir)));
        let made = optimise(&ir, &KEEP);
        verify(&made).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", print(&made)));
        assert_eq!(print(&optimise(&made, &KEEP)), print(&made), "seed {seed}: a second run changes something");
        assert!(KEEP.iter().all(|name| made.layout.lookup(name).is_some()), "seed {seed}: a kept field is gone");
        let ids = |ir: &Ir| ir.rules.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&made), ids(&ir), "seed {seed}");
        let (now_held, now_asked) = assert_same_answers(seed, &mut random, &ir, &made);
        held += now_held;
        asked += now_asked;
        smaller += usize::from(Sizes::of(&made).operands < Sizes::of(&ir).operands);
    }
    // The property would be empty if nothing ever held, or if nothing was ever optimised.
    assert!(held > asked / 10 && held < asked * 9 / 10 && smaller > 100, "{held} of {asked}, {smaller} smaller");
}

#[test]
fn every_pass_alone_keeps_answers_and_changes_nothing_twice() {
    for seed in seeds().take(150) {
        for pass in Pass::ALL {
            let mut random = generate::Random::new(seed);
            let ir = generated(&mut random);
            let made = pass.run(&ir, &KEEP);
            verify(&made).unwrap_or_else(|error| panic!("seed {seed}, {pass}: {error}\n{}", print(&made)));
            assert_eq!(settled(&pass.run(&made, &KEEP)), settled(&made), "seed {seed}: {pass} twice\n{}", print(&ir));
            assert_same_answers(seed, &mut random, &ir, &made);
        }
    }
}

#[test]
fn the_watcher_sees_every_change_in_a_row() {
    let ir = generated(&mut generate::Random::new(3));
    let mut last = ir.clone();
    let mut passes = Vec::new();
    let made = optimise_watched(&ir, &KEEP, |pass, before, after| {
        assert_eq!(print(before), print(&last));
        assert_ne!(print(before), print(after));
        last = after.clone();
        passes.push(pass);
    });
    assert_eq!(print(&last), print(&made));
    assert!(passes.contains(&Pass::Folding) && passes.contains(&Pass::DeadCode), "{passes:?}");
}

#[test]
fn depth_and_width_at_the_limits_are_no_danger() {
    let field = "field f0 a : keyword\natom a0 = f0 present\natom a1 = f0 exact [\"x\"]\nnode n0 = a0\nnode n1 = a1\n";
    // As deep as the verifier allows: `and` in `or` in `and`, which neither folds nor factors.
    let mut deep = field.to_owned();
    for node in 2..MAX_DEPTH {
        let (word, leaf) = if node % 2 == 0 { ("and", 0) } else { ("or", 1) };
        let _ = writeln!(deep, "node n{node} = {word} n{} n{leaf}", node - 1);
    }
    let _ = writeln!(deep, "predicate p0 = any where n{}\nrule \"r\" = event p0", MAX_DEPTH - 1);
    // A thousand branches that share one operand each with the next.
    let mut wide = String::from("field f0 a : long\n");
    for atom in 0..1001 {
        let _ = writeln!(wide, "atom a{atom} = f0 > {atom}\nnode n{atom} = a{atom}");
    }
    for branch in 0..1000 {
        let _ = writeln!(wide, "node n{} = and n{branch} n{}", 1001 + branch, branch + 1);
    }
    let all: String = (1001..2001).map(|branch| format!(" n{branch}")).collect();
    let _ = writeln!(wide, "node n2001 = or{all}\npredicate p0 = any where n2001\nrule \"r\" = event p0");
    for text in [deep, wide] {
        let ir = parse(&text).expect("a table");
        verify(&ir).expect("a valid table");
        let made = optimise(&ir, &[]);
        verify(&made).expect("a valid table");
        assert!(Sizes::of(&made).operands <= Sizes::of(&ir).operands);
    }
}

#[test]
fn what_leads_nowhere_or_in_a_circle_comes_back_as_it_is() {
    for table in [
        "node n0 = not n0",
        "node n0 = a7",
        "atom a0 = value v0\nvalue v0 = when n0\nnode n0 = a0",
        "node n0 = true\nrule \"s\" = event p3",
        "node n0 = true\nrule \"s\" = sequence {\n  step p0\n  step p0 joined n9\n}",
    ] {
        let (tables, rule) = table.split_once("\nrule").unwrap_or((table, ""));
        let rule = if rule.is_empty() { String::new() } else { format!("rule{rule}\n") };
        let text = format!("{tables}\npredicate p0 = any where n0\nrule \"r\" = event p0\n{rule}");
        let ir = parse(&text).expect("a table");
        assert!(verify(&ir).is_err(), "{text}");
        assert_eq!(optimise(&ir, &[]), ir, "{text}");
    }
    let mut chain = Ir { nodes: vec![Node::Constant(true)], ..Ir::default() };
    chain.nodes.extend((0..40_000).map(|index| Node::And(vec![NodeId(index), NodeId(index)])));
    chain.nodes.extend((40_000..80_000).map(|index| Node::Not(NodeId(index))));
    for pass in Pass::ALL {
        let _ = pass.run(&chain, &[]);
    }
}
