//! What the source looks like: goldens under `tests/source`, blessed with `BLESS=1`.

use std::path::Path;

use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{
    Atom, AtomId, Comparison, Ir, Node, NodeId, Order, Predicate, PredicateId, Rule, RuleKind, StringMatch,
};
use kestrel_schema::FieldType;

/// An IR under construction: atoms and nodes by what they are.
struct Builder {
    ir: Ir,
}

impl Builder {
    fn new() -> Builder {
        Builder { ir: Ir { layout: Layout::new(), ..Ir::default() } }
    }

    fn field(&mut self, name: &str, field_type: FieldType) -> FieldId {
        self.ir.layout.intern(name, field_type)
    }

    fn text(&mut self, field: &str, matching: StringMatch, fold: bool, strings: &[&str]) -> NodeId {
        let field = self.field(field, FieldType::Keyword);
        let strings = strings.iter().map(|&string| string.to_owned()).collect();
        self.atom(Atom::Strings { field, matching, fold, strings })
    }

    fn is(&mut self, field: &str, string: &str) -> NodeId {
        self.text(field, StringMatch::Exact, false, &[string])
    }

    fn atom(&mut self, atom: Atom) -> NodeId {
        let id = AtomId(self.ir.atoms.len() as u32);
        self.ir.atoms.push(atom);
        self.node(Node::Atom(id))
    }

    fn node(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.ir.nodes.len() as u32);
        self.ir.nodes.push(node);
        id
    }

    fn and(&mut self, operands: &[NodeId]) -> NodeId {
        self.node(Node::And(operands.to_vec()))
    }

    fn or(&mut self, operands: &[NodeId]) -> NodeId {
        self.node(Node::Or(operands.to_vec()))
    }

    fn not(&mut self, operand: NodeId) -> NodeId {
        self.node(Node::Not(operand))
    }

    fn rule(&mut self, id: &str, category: Option<NodeId>, root: NodeId) {
        let category = category.and_then(|node| match self.ir.node(node) {
            Some(Node::Atom(atom)) => Some(*atom),
            _ => None,
        });
        let predicate = PredicateId(self.ir.predicates.len() as u32);
        self.ir.predicates.push(Predicate { category, root });
        self.ir.rules.push(Rule {
            id: id.to_owned(),
            kind: RuleKind::Event { predicate },
            pipes: Vec::new(),
            program: None,
        });
    }

    fn check(self, name: &str) {
        let source = kestrel_backend_lua::compile(&self.ir).expect("a source");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/source").join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &source).expect("the golden can be written");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(source == golden, "{name} is another, bless it with BLESS=1:\n{source}");
    }
}

#[test]
fn a_rule_with_exceptions() {
    let mut ir = Builder::new();
    let category = ir.is("event.category", "process");
    let parent = ir.field("process.parent.executable", FieldType::Keyword);
    let conditions = [
        ir.is("host.os.type", "linux"),
        ir.text("event.action", StringMatch::Exact, false, &["exec", "start"]),
        ir.atom(Atom::Present { field: parent }),
        ir.is("process.name", "chattr"),
        ir.text("process.args", StringMatch::Wildcard, true, &["-*i*", "+*i*"]),
    ];
    let exceptions = [
        ir.text(
            "process.parent.executable",
            StringMatch::Exact,
            true,
            &["/lib/systemd/systemd", "/usr/lib/systemd/systemd"],
        ),
        ir.text("process.parent.name", StringMatch::Exact, false, &["a", "b", "c", "d", "e", "f", "g"]),
        ir.text("process.args", StringMatch::Regex, false, &["/opt/[a-z]+/.*"]),
    ];
    let exceptions = ir.or(&exceptions);
    let not = ir.not(exceptions);
    let root: Vec<NodeId> = conditions.into_iter().chain([not]).collect();
    let root = ir.and(&root);
    ir.rule("file-made-immutable", Some(category), root);
    ir.check("exceptions.lua");
}

#[test]
fn numbers_are_tested_in_place() {
    let mut ir = Builder::new();
    let (port, size) = (ir.field("destination.port", FieldType::Long), ir.field("file.size", FieldType::Long));
    let (score, elevated) = (ir.field("score", FieldType::Double), ir.field("elevated", FieldType::Boolean));
    let large = 1 << 53;
    let leaves = [
        Atom::IntegerOrder { field: port, order: Order::GreaterEqual, value: 1024 },
        Atom::Integers { field: port, values: vec![4444] },
        Atom::Integers { field: port, values: vec![80, 443] },
        Atom::Integers { field: port, values: (0..17).collect() },
        Atom::IntegerOrder { field: size, order: Order::Less, value: large },
        Atom::FloatOrder { field: score, comparison: Comparison::NotEqual, value: f64::NEG_INFINITY },
        Atom::Boolean { field: elevated, value: true },
    ]
    .map(|atom| ir.atom(atom));
    let root = ir.or(&leaves);
    ir.rule("numbers", None, root);
    let no = ir.not(leaves[2]);
    ir.rule("not-these-ports", None, no);
    ir.check("numbers.lua");
}

#[test]
fn words_within_words() {
    let mut ir = Builder::new();
    let field = ir.field("process.name", FieldType::Keyword);
    let present = ir.atom(Atom::Present { field });
    let names: Vec<NodeId> = (0..11).map(|number| ir.is("process.name", &format!("name{number}"))).collect();
    // Neighbours are one question, eight at most; the same word needs no parentheses, the other does, also at the front.
    let (first, second) = (ir.and(&names[0..2]), ir.and(&[names[2], present]));
    let either = ir.or(&[first, second]);
    let both = ir.and(&[names[3], names[4]]);
    let root = ir.and(&[either, both, names[5]]);
    ir.rule("the-other-word-first", None, root);
    let eleven = ir.or(&names);
    ir.rule("eleven", None, eleven);
    let inner = ir.or(&[names[0], present]);
    let not = ir.not(inner);
    let twice = ir.not(not);
    let root = ir.and(&[names[6], not, twice]);
    ir.rule("not", Some(names[7]), root);
    let truth = ir.node(Node::Constant(true));
    ir.rule("constant", Some(names[7]), truth);
    // Used twice and of some size: a function of its own.
    let size = [names[8], present, names[9]];
    let shared = ir.or(&size);
    let root = ir.and(&[names[1], shared]);
    ir.rule("shared", None, root);
    let root = ir.and(&[names[2], shared]);
    ir.rule("shared again", None, root);
    ir.check("words.lua");
}
