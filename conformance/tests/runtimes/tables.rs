//! The fields, atoms and events that the agreement tests draw from: every field type, values that meet the constants.

use kestrel_ir::cidr::Cidr;
use kestrel_ir::event::{Event, FieldNumber, FieldTable, FieldValue};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{
    Arithmetic, Atom, AtomId, Comparison, Constant, Function, Ir, Node, NodeId, Order, Predicate, StringMatch, Value,
    ValueId,
};
use kestrel_schema::FieldType;

use kestrel_conformance::generate::Random;

/// Fields, and what makes frames of events over them.
pub struct World {
    pub table: FieldTable,
    pub builder: FrameBuilder,
    layout: Layout,
    values: Vec<Value>,
}

pub const NAMES: [&str; 9] = ["cmd.exe", "CMD.EXE", "sh", "bash", "", "Σίσυφος", "σίσυφος", "\u{212a}elvin", "a\nb"];
pub const LINES: [&str; 6] =
    ["curl http://x | sh", "CURL -o /tmp/a.SH", "powershell -enc AAAA", "/usr/bin/true", "ls -la /tmp/x.sh", "-"];
pub const INTEGERS: [i64; 10] = [0, 1, -1, 443, 1000, 4444, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN];
pub const FLOATS: [f64; 8] = [0.0, -0.0, 0.5, 1.5, -3.25, 1e300, f64::NAN, f64::INFINITY];
pub const ADDRESSES: [&str; 5] = ["10.0.0.1", "10.255.1.2", "192.168.1.1", "::1", "fe80::1"];
pub const VERSIONS: [&str; 5] = ["1.0.0", "1.2", "1.10.0-rc.1", "v2", "odd"];

pub fn strings(strings: &[&str]) -> Vec<String> {
    strings.iter().map(|&string| string.to_owned()).collect()
}

impl World {
    pub fn new() -> World {
        let mut layout = Layout::new();
        for (name, field_type) in [
            ("event.category", FieldType::Keyword),
            ("process.name", FieldType::Keyword),
            ("process.command_line", FieldType::Keyword),
            ("process.pid", FieldType::Long),
            ("destination.port", FieldType::Long),
            ("process.start", FieldType::Date),
            ("score", FieldType::Double),
            ("elevated", FieldType::Boolean),
            ("source.ip", FieldType::Ip),
            ("agent.version", FieldType::Version),
        ] {
            layout.intern(name, field_type);
        }
        let stack = layout.intern("stack", FieldType::Object);
        layout.intern_child("stack.symbol", FieldType::Keyword, stack);
        layout.intern_child("stack.size", FieldType::Long, stack);
        layout.intern("stack.size", FieldType::Long);
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&layout, &mut table);
        let builder = FrameBuilder::new(&layout, &table);
        World { table, builder, layout, values: Vec::new() }
    }

    pub fn slots(&self) -> usize {
        self.layout.top_level_slots()
    }

    pub fn field(&self, name: &str) -> FieldId {
        self.layout.lookup(name).expect("a field of the world")
    }

    pub fn child(&self, name: &str) -> FieldId {
        let child = self.layout.iter().find(|(_, field)| field.parent.is_some() && field.name == name);
        child.expect("a child of the world").0
    }

    pub fn number(&self, name: &str) -> FieldNumber {
        self.table.lookup(name).expect("a field of the world")
    }

    pub fn value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() as u32 - 1)
    }

    /// One predicate for each atom. The last two atoms are those of an object's condition, and have a predicate for the
    /// object's atom instead.
    pub fn ir_of_atoms(&mut self, atoms: Vec<Atom>) -> Ir {
        let mut ir = Ir { layout: self.layout.clone(), values: self.values.clone(), ..Ir::default() };
        for (index, atom) in atoms.into_iter().enumerate() {
            ir.atoms.push(atom);
            ir.nodes.push(Node::Atom(AtomId(index as u32)));
            ir.predicates.push(Predicate { category: None, root: NodeId(index as u32) });
        }
        self.add_objects(&mut ir);
        ir
    }

    /// Adds two atoms over the children of an object, the condition that both hold, and a predicate that asks for it.
    fn add_objects(&self, ir: &mut Ir) {
        let symbol = Atom::Strings {
            field: self.child("stack.symbol"),
            matching: StringMatch::Exact,
            fold: false,
            strings: strings(&["bash", "sh"]),
        };
        let size = Atom::IntegerOrder { field: self.child("stack.size"), order: Order::Greater, value: 0 };
        let first = ir.atoms.len() as u32;
        let any = Atom::AnyObject { object: self.field("stack"), condition: NodeId(ir.nodes.len() as u32 + 2) };
        let node = ir.nodes.len() as u32;
        ir.atoms.extend([symbol, size, any]);
        ir.nodes.extend([
            Node::Atom(AtomId(first)),
            Node::Atom(AtomId(first + 1)),
            Node::And(vec![NodeId(node), NodeId(node + 1)]),
            Node::Atom(AtomId(first + 2)),
        ]);
        ir.predicates.push(Predicate { category: None, root: NodeId(node + 3) });
    }

    /// Atoms of each kind over each field that it fits.
    pub fn atoms_of_every_kind(&mut self) -> Vec<Atom> {
        let mut random = Random::new(3);
        let names = [
            "event.category",
            "process.name",
            "process.pid",
            "score",
            "elevated",
            "source.ip",
            "agent.version",
            "stack",
        ];
        let mut atoms: Vec<Atom> = names.iter().map(|name| Atom::Present { field: self.field(name) }).collect();
        atoms.push(Atom::Boolean { field: self.field("elevated"), value: true });
        atoms.push(Atom::Boolean { field: self.field("elevated"), value: false });
        atoms.extend((0..60).map(|_| self.random_atom(&mut random)).collect::<Vec<_>>());
        atoms
    }

    /// An atom of any kind, apart from those over objects.
    pub fn random_atom(&mut self, random: &mut Random) -> Atom {
        let order = random.pick(&[Order::Less, Order::LessEqual, Order::Greater, Order::GreaterEqual]);
        let comparison = random.pick(&[Comparison::Equal, Comparison::NotEqual, Comparison::Ordered(order)]);
        let text_field = self.field(random.pick(&["event.category", "process.name", "process.command_line"]));
        let integer_field =
            self.field(random.pick(&["process.pid", "destination.port", "process.start", "stack.size"]));
        match random.below(10) {
            0 => {
                let every: Vec<FieldId> =
                    self.layout.iter().filter(|(_, field)| field.parent.is_none()).map(|(id, _)| id).collect();
                Atom::Present { field: random.pick(&every) }
            }
            1 => Atom::Boolean { field: self.field("elevated"), value: random.below(2) == 0 },
            2 | 3 => random_strings(text_field, random),
            4 => Atom::StringOrder { field: text_field, order, value: random.pick(&NAMES).to_owned() },
            5 => {
                let count = random.pick(&[1, 2, 5, 10]);
                let mut values: Vec<i64> = (0..count).map(|_| random.pick(&INTEGERS)).collect();
                if random.below(4) == 0 {
                    values.extend(400..460);
                }
                values.sort_unstable();
                values.dedup();
                Atom::Integers { field: integer_field, values }
            }
            6 => Atom::IntegerOrder { field: integer_field, order, value: random.pick(&INTEGERS) },
            7 => {
                let field = random.pick(&[self.field("score"), integer_field]);
                Atom::FloatOrder { field, comparison, value: random.pick(&FLOATS[..6]) }
            }
            8 => match random.below(2) {
                0 => {
                    let mut blocks: Vec<Cidr> = (0..2)
                        .map(|_| random.pick(&["10.0.0.0/8", "192.168.1.1", "::/64", "fe80::/10"]))
                        .map(|block| Cidr::parse(block).expect("a block"))
                        .collect();
                    blocks.sort_unstable();
                    blocks.dedup();
                    Atom::Cidr { field: self.field("source.ip"), blocks }
                }
                _ => {
                    let value = random.pick(&VERSIONS).to_owned();
                    Atom::VersionOrder { field: self.field("agent.version"), comparison, value }
                }
            },
            _ => self.random_computation(random, comparison),
        }
    }

    fn random_computation(&mut self, random: &mut Random, comparison: Comparison) -> Atom {
        let (left, right) = if random.below(2) == 0 {
            let pid = self.value(Value::Field(self.field("process.pid")));
            let one = self.value(Value::Constant(Constant::Integer(1)));
            let sum = self.value(Value::Arithmetic { operation: Arithmetic::Add, left: pid, right: one });
            (sum, self.value(Value::Field(self.field("destination.port"))))
        } else {
            let name = self.value(Value::Field(self.field("process.name")));
            let call = Value::Call { function: Function::Length, fold: false, arguments: vec![name] };
            (self.value(call), self.value(Value::Constant(Constant::Integer(7))))
        };
        Atom::Compute { value: self.value(Value::Compare { comparison, left, right }) }
    }

    /// An event with up to `many` values in each field.
    pub fn random_event(&self, random: &mut Random, many: usize) -> Event {
        let mut event = Event::new();
        event.timestamp = random.bits() as i64;
        for _ in 0..random.below(many + 1) {
            event.push_text(self.number("event.category"), random.pick(&["process", "file", "network"]));
            event.push_text(self.number("process.command_line"), random.pick(&LINES));
        }
        for name in ["process.pid", "destination.port", "process.start"] {
            for _ in 0..random.below(many + 1) {
                event.push_integer(self.number(name), random.pick(&INTEGERS));
            }
        }
        for _ in 0..random.below(many + 1) {
            event.push_text(self.number("process.name"), random.pick(&NAMES));
            event.push_float(self.number("score"), random.pick(&FLOATS));
        }
        for _ in 0..random.below(many + 1) {
            event.push_boolean(self.number("elevated"), random.below(2) == 0);
            event.push_ip(self.number("source.ip"), random.pick(&ADDRESSES).parse().expect("an address"));
            event.push_text(self.number("agent.version"), random.pick(&VERSIONS));
        }
        for element in 0..random.below(many + 1) as u32 {
            event.push_value(self.number("stack"), element, FieldValue::Boolean(true));
            if random.below(3) > 0 {
                event.push_value(self.number("stack.symbol"), element, FieldValue::Text(random.pick(&NAMES)));
            }
            for _ in 0..random.below(3) {
                event.push_value(self.number("stack.size"), element, FieldValue::Integer(random.pick(&INTEGERS)));
            }
        }
        event
    }

    /// Tables with so many predicates over a shared DAG.
    pub fn random_ir(&mut self, random: &mut Random, predicates: usize) -> Ir {
        let atoms: Vec<Atom> = (0..40).map(|_| self.random_atom(random)).collect();
        let mut ir = self.ir_of_atoms(atoms);
        // Leaves first; the nodes of the object's condition are not for predicates.
        let mut usable: Vec<(NodeId, usize)> = ir.predicates.iter().map(|predicate| (predicate.root, 1)).collect();
        ir.predicates.clear();
        let leaves = usable.len();
        for _ in 0..predicates * 3 {
            let mut size = 1;
            let mut operand = |random: &mut Random| {
                let (id, more) = match random.below(2) {
                    0 => usable[random.below(leaves)],
                    _ => usable[random.below(usable.len())],
                };
                // Written out, a node stays small enough for the interpreter, which remembers nothing.
                let (id, more) = if size + more > 2000 { (usable[0].0, 1) } else { (id, more) };
                size += more;
                id
            };
            let node = match random.below(8) {
                0 => Node::Constant(random.below(2) == 0),
                1 | 2 => Node::Not(operand(random)),
                3..=5 => Node::And((0..2 + random.below(3)).map(|_| operand(random)).collect()),
                _ => Node::Or((0..2 + random.below(3)).map(|_| operand(random)).collect()),
            };
            ir.nodes.push(node);
            usable.push((NodeId(ir.nodes.len() as u32 - 1), size));
        }
        for _ in 0..predicates {
            let category = (random.below(3) == 0).then(|| AtomId(random.below(40) as u32));
            ir.predicates.push(Predicate { category, root: usable[random.below(usable.len())].0 });
        }
        ir
    }
}

fn random_strings(field: FieldId, random: &mut Random) -> Atom {
    let fold = random.below(2) == 0;
    let (matching, pool): (StringMatch, &[&str]) = match random.below(3) {
        0 => (StringMatch::Exact, &NAMES),
        1 => (
            StringMatch::Wildcard,
            &["*.exe", "cmd*", "*curl*", "?h", "*/tmp/*.sh", "σ*", "bash", "*", "c*d*e", "*enc*", "a?b"],
        ),
        _ => (StringMatch::Regex, &["cmd.*", ".*sh", "[a-z]+", "\\w*\\.exe", ".*curl.*\\|.*", "Σ.*"]),
    };
    let mut list: Vec<String> = (0..1 + random.below(5)).map(|_| random.pick(pool).to_owned()).collect();
    if fold && matching != StringMatch::Regex {
        list = list.iter().map(|string| kestrel_ir::fold::fold(string).into_owned()).collect();
    }
    if matching != StringMatch::Regex {
        list.sort_unstable();
        list.dedup();
    }
    Atom::Strings { field, matching, fold, strings: list }
}
