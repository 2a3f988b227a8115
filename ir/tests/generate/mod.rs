//! A small generator of valid IRs and of events for them, from a seed. The same seed gives the same.

#![allow(dead_code, reason = "each test uses its part")]

use kestrel_ir::cidr::Cidr;
use kestrel_ir::event::{Event, FieldTable, FieldValue};
use kestrel_ir::guards::constant_fields;
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{
    Arithmetic, Atom, AtomId, Capability, Comparison, Constant, Function, Ir, Key, Node, NodeId, Order, Predicate,
    PredicateId, Program, ProgramId, ProgramLanguage, ProgramLimits, Rule, RuleKind, Sequence, Step, StringMatch,
    Value, ValueId,
};
use kestrel_schema::{EventKind, FieldType};

/// Words that values and patterns are made of: few, so that events meet tests.
const WORDS: [&str; 6] = ["exec", "process", "start", "linux", "Ab", "ab"];
const PATTERNS: [&str; 6] = ["*", "a*", "?b", "*s*", "ab", "e*c"];
const REGEXES: [&str; 3] = ["a.*", "[a-z]+", "(exec|start)"];
const TEXT_FIELDS: [&str; 6] =
    ["event.category", "event.action", "event.type", "host.os.type", "process.name", "process.args"];

/// Random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    /// A generator; all seeds are good.
    pub fn new(seed: u64) -> Random {
        let mut random = Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 33) % limit as u64) as usize
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn some<T: Clone>(&mut self, list: &[T]) -> Vec<T> {
        (0..=self.below(3)).map(|_| self.pick(list)).collect()
    }
}

/// The fields of every generated IR.
struct Fields {
    texts: Vec<FieldId>,
    long: FieldId,
    double: FieldId,
    boolean: FieldId,
    ip: FieldId,
    version: FieldId,
    object: FieldId,
    child: FieldId,
}

fn layout() -> (Layout, Fields) {
    let mut layout = Layout::new();
    let fields = Fields {
        texts: TEXT_FIELDS.iter().map(|name| layout.intern(name, FieldType::Keyword)).collect(),
        long: layout.intern("process.pid", FieldType::Long),
        double: layout.intern("file.score", FieldType::Double),
        boolean: layout.intern("process.interactive", FieldType::Boolean),
        ip: layout.intern("source.ip", FieldType::Ip),
        version: layout.intern("package.version", FieldType::Version),
        object: layout.intern("stack", FieldType::Object),
        child: FieldId(0),
    };
    let child = layout.intern_child("stack.symbol", FieldType::Keyword, fields.object);
    (layout, Fields { child, ..fields })
}

/// A valid IR with all sorts of entries.
pub fn ir(random: &mut Random) -> Ir {
    let (layout, fields) = layout();
    let mut ir = Ir { layout, ..Ir::default() };
    // The condition of searches, over the child and over a top-level field; nothing else may refer to them.
    ir.atoms.push(strings(random, fields.child));
    ir.atoms.push(simple(random, &fields));
    ir.nodes.push(Node::Atom(AtomId(0)));
    ir.nodes.push(Node::Atom(AtomId(1)));
    ir.nodes.push(if random.flip() {
        Node::And(vec![NodeId(0), NodeId(1)])
    } else {
        Node::Or(vec![NodeId(0), NodeId(1)])
    });
    ir.values.push(Value::Field(fields.long));
    ir.values.push(Value::Field(random.pick(&fields.texts)));
    ir.values.push(Value::Constant(constant(random)));
    ir.values.push(Value::Condition(NodeId(1)));
    for _ in 0..random.below(8) {
        let value = value(random, ir.values.len());
        ir.values.push(value);
    }
    for _ in 0..3 + random.below(12) {
        let atom = match random.below(8) {
            0 => Atom::AnyObject { object: fields.object, condition: NodeId(2) },
            1 => Atom::Compute { value: ValueId(random.below(ir.values.len()) as u32) },
            _ => simple(random, &fields),
        };
        ir.atoms.push(atom);
    }
    let first = ir.nodes.len();
    for _ in 0..2 + random.below(20) {
        let node = node(random, first, &ir);
        ir.nodes.push(node);
    }
    for _ in 0..1 + random.below(4) {
        let category = random.flip().then(|| {
            ir.atoms.push(exact(fields.texts[0], random.some(&WORDS)));
            AtomId(ir.atoms.len() as u32 - 1)
        });
        let root = NodeId((first + random.below(ir.nodes.len() - first)) as u32);
        ir.predicates.push(Predicate { category, root });
    }
    for index in 0..1 + random.below(3) {
        let kind = rule_kind(random, &ir, &fields);
        let program =
            (matches!(kind, RuleKind::Event { .. }) && random.flip()).then(|| program(random, &mut ir, &fields));
        ir.rules.push(Rule { id: format!("rule {index}"), kind, pipes: Vec::new(), program });
    }
    ir
}

fn program(random: &mut Random, ir: &mut Ir, fields: &Fields) -> ProgramId {
    let number = ir.programs.len() as u32;
    let language = if random.flip() { ProgramLanguage::Wasm } else { ProgramLanguage::Lua };
    let mut own = vec![fields.long, fields.texts[random.below(fields.texts.len())], fields.ip];
    own.truncate(random.below(4));
    let capabilities = Capability::ALL.into_iter().filter(|_| random.flip()).collect();
    let mut limit = || random.flip().then(|| 1 + random.below(1 << 20) as u64);
    let limits = ProgramLimits { instructions: limit(), memory: limit(), host_work: limit() };
    ir.programs.push(Program { name: format!("program {number}.x"), language, fields: own, capabilities, limits });
    ProgramId(number)
}

fn exact(field: FieldId, words: Vec<&str>) -> Atom {
    Atom::Strings { field, matching: StringMatch::Exact, fold: false, strings: sorted(words, false) }
}

fn sorted(words: Vec<&str>, fold: bool) -> Vec<String> {
    let mut strings: Vec<String> =
        words.iter().map(|word| if fold { word.to_lowercase() } else { (*word).to_owned() }).collect();
    strings.sort();
    strings.dedup();
    strings
}

fn strings(random: &mut Random, field: FieldId) -> Atom {
    let fold = random.flip();
    match random.below(4) {
        0 => {
            let strings = sorted(random.some(&PATTERNS), fold);
            Atom::Strings { field, matching: StringMatch::Wildcard, fold, strings }
        }
        1 => {
            let strings = sorted(random.some(&REGEXES), false);
            Atom::Strings { field, matching: StringMatch::Regex, fold, strings }
        }
        _ => Atom::Strings { field, matching: StringMatch::Exact, fold, strings: sorted(random.some(&WORDS), fold) },
    }
}

fn order(random: &mut Random) -> Order {
    random.pick(&[Order::Less, Order::LessEqual, Order::Greater, Order::GreaterEqual])
}

fn comparison(random: &mut Random) -> Comparison {
    let order = order(random);
    random.pick(&[Comparison::Equal, Comparison::NotEqual, Comparison::Ordered(order)])
}

fn simple(random: &mut Random, fields: &Fields) -> Atom {
    let text = random.pick(&fields.texts);
    match random.below(12) {
        0 => {
            let any = [text, fields.long, fields.double, fields.boolean, fields.ip, fields.version, fields.object];
            Atom::Present { field: random.pick(&any) }
        }
        1 => Atom::Boolean { field: fields.boolean, value: random.flip() },
        2 => Atom::StringOrder { field: text, order: order(random), value: random.pick(&WORDS).to_owned() },
        3 => {
            let mut values: Vec<i64> = (0..=random.below(3)).map(|_| random.below(4) as i64).collect();
            values.sort_unstable();
            values.dedup();
            Atom::Integers { field: fields.long, values }
        }
        4 => Atom::IntegerOrder { field: fields.long, order: order(random), value: random.below(4) as i64 },
        5 => {
            let (field, value) = (random.pick(&[fields.double, fields.long]), random.pick(&[0.5, 1.0, -1e300]));
            Atom::FloatOrder { field, comparison: comparison(random), value }
        }
        6 => {
            let block = random.pick(&["10.0.0.0/8", "10.0.0.1", "::/0", "0.0.0.0/0", "fe80::/10"]);
            Atom::Cidr { field: fields.ip, blocks: vec![Cidr::parse(block).expect("a block")] }
        }
        7 => Atom::VersionOrder { field: fields.version, comparison: comparison(random), value: "1.2".to_owned() },
        _ => strings(random, text),
    }
}

fn constant(random: &mut Random) -> Constant {
    let word = random.pick(&WORDS).to_owned();
    random.pick(&[
        Constant::Null,
        Constant::Boolean(true),
        Constant::Integer(1),
        Constant::Integer(i64::MIN),
        Constant::Float(0.5),
        Constant::String(word),
        Constant::String("\"\\\n\t\u{0}\u{2028}#[]{},ü".to_owned()),
    ])
}

fn value(random: &mut Random, earlier: usize) -> Value {
    let earlier = |random: &mut Random| ValueId(random.below(earlier) as u32);
    let (left, right) = (earlier(random), earlier(random));
    match random.below(8) {
        0 => Value::Negate(left),
        1 => {
            let operations =
                [Arithmetic::Add, Arithmetic::Subtract, Arithmetic::Multiply, Arithmetic::Divide, Arithmetic::Modulo];
            Value::Arithmetic { operation: random.pick(&operations), left, right }
        }
        2 => Value::Matches {
            matching: StringMatch::Wildcard,
            fold: false,
            input: left,
            strings: sorted(random.some(&PATTERNS), false),
        },
        3 => Value::IsNull(left),
        4 => Value::NotNull(left),
        5 => {
            let function = random.pick(&[Function::StartsWith, Function::EndsWith, Function::StringContains]);
            Value::Call { function, fold: random.flip(), arguments: vec![left, right] }
        }
        _ => Value::Compare { comparison: comparison(random), left, right },
    }
}

fn node(random: &mut Random, first: usize, ir: &Ir) -> Node {
    let earlier = ir.nodes.len() - first;
    // Atom 0 tests the child and stands in searches alone.
    let atom = Node::Atom(AtomId(1 + random.below(ir.atoms.len() - 1) as u32));
    if earlier == 0 {
        return atom;
    }
    let branch = |random: &mut Random| NodeId((first + random.below(earlier)) as u32);
    match random.below(9) {
        0..=2 => atom,
        3 => Node::Constant(random.flip()),
        4 => Node::Not(branch(random)),
        5 | 6 => Node::And((0..2 + random.below(3)).map(|_| branch(random)).collect()),
        _ => Node::Or((0..2 + random.below(3)).map(|_| branch(random)).collect()),
    }
}

fn rule_kind(random: &mut Random, ir: &Ir, fields: &Fields) -> RuleKind {
    let step = |random: &mut Random, missing: bool| Step {
        predicate: PredicateId(random.below(ir.predicates.len()) as u32),
        joined: None,
        keys: vec![Key { field: Some(random.pick(&fields.texts)), optional: random.flip() }],
        missing,
    };
    match random.below(3) {
        0 => RuleKind::Event { predicate: PredicateId(random.below(ir.predicates.len()) as u32) },
        1 => {
            let steps = vec![step(random, false), step(random, true), step(random, false)];
            let until = random.flip().then(|| step(random, false));
            RuleKind::Sequence(Sequence { steps, maxspan: Some(1 + random.below(100) as i64 * 500_000_000), until })
        }
        _ => RuleKind::Sample { terms: vec![step(random, false), step(random, false)] },
    }
}

/// The fields that [`event`] fills.
pub fn table(ir: &Ir) -> FieldTable {
    let mut table = FieldTable::new();
    for (_, field) in ir.layout.iter() {
        table.intern(&field.name, field.field_type);
    }
    table
}

/// An event with some of the fields; as events of `kind` are, when one is given.
pub fn event(random: &mut Random, table: &FieldTable, kind: Option<&EventKind>) -> Event {
    let constants = kind.map(constant_fields).unwrap_or_default();
    let mut event = Event::new();
    for (number, name, field_type) in table.iter() {
        if let Some((_, values)) = constants.iter().find(|(constant, _)| *constant == name) {
            values.iter().for_each(|value| event.push_text(number, value));
            continue;
        }
        if name.starts_with("stack") || random.below(4) == 0 {
            continue;
        }
        for _ in 0..=random.below(2) {
            match field_type {
                FieldType::Keyword => event.push_text(number, random.pick(&WORDS)),
                FieldType::Version => event.push_text(number, random.pick(&["1.0", "1.2", "2.0.0-rc"])),
                FieldType::Long | FieldType::Date => event.push_integer(number, random.below(4) as i64),
                FieldType::Double => event.push_float(number, random.pick(&[0.5, 1.0, 7.0])),
                FieldType::Boolean => event.push_boolean(number, random.flip()),
                FieldType::Ip => {
                    let address = random.pick(&["10.0.0.1", "1.2.3.4", "fe80::1"]);
                    event.push_ip(number, address.parse().expect("an address"));
                }
                FieldType::Object => {}
            }
        }
    }
    if let (Some(object), Some(symbol)) = (table.lookup("stack"), table.lookup("stack.symbol")) {
        for element in 0..random.below(3) as u32 {
            event.push_value(object, element, FieldValue::Boolean(true));
            if random.flip() {
                event.push_value(symbol, element, FieldValue::Text(random.pick(&WORDS)));
            }
        }
    }
    event
}
