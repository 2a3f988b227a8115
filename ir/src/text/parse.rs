//! Parsing the text form, entry by entry. The first mistake ends it: the text is written by tools and by tests.

use super::line::Line;
use super::token::{Token, TokenKind, tokens};
use super::{FUNCTIONS, TextError, function_name, parse_span};
use crate::layout::FieldId;
use crate::model::{
    Arithmetic, Atom, AtomId, Comparison, Constant, Ir, LineageFields, Node, NodeId, Order, Predicate, PredicateId,
    Program, ProgramId, ProgramLanguage, ProgramLimits, Relation, Rule, RuleKind, Sequence, Step, StringMatch, Value,
    ValueId,
};
use kestrel_schema::FieldType;

/// Reads the text form. Entries of one table come in the order of their ids; nothing else about the order matters.
pub fn parse(text: &str) -> Result<Ir, TextError> {
    let mut ir = Ir::default();
    let mut open: Option<OpenRule> = None;
    let mut last = 1;
    for (index, text) in text.lines().enumerate() {
        last = index + 1;
        let tokens = tokens(text, last)?;
        if tokens.is_empty() {
            continue;
        }
        let mut line = Line::new(last, text.chars().count(), &tokens);
        match open.take() {
            None => open = entry(&mut line, &mut ir)?,
            Some(mut rule) => {
                if rule.line(&mut line)? {
                    let program = rule_program(&mut line)?;
                    ir.rules.push(Rule { program, pipes: line.pipes()?, ..rule.rule });
                } else {
                    open = Some(rule);
                }
            }
        }
        line.end()?;
    }
    match open {
        Some(rule) => {
            Err(TextError { line: last, column: 1, message: format!("rule {:?} is not closed", rule.rule.id) })
        }
        None => Ok(ir),
    }
}

/// A rule whose terms are being read.
struct OpenRule {
    rule: Rule,
}

impl OpenRule {
    /// Reads one term; true when the rule is closed instead.
    fn line(&mut self, line: &mut Line<'_>) -> Result<bool, TextError> {
        if line.take_punctuation('}') {
            return Ok(true);
        }
        let word = line.word("`step`, `missing`, `until` or `}`")?;
        let missing = match word {
            "step" => false,
            "missing" => true,
            "until" => line.take_word("missing"),
            _ => return Err(line.error_before("expected `step`, `missing`, `until` or `}`")),
        };
        let until = word == "until";
        let predicate = PredicateId(line.id('p')?);
        let joined = if line.take_word("joined") { Some(NodeId(line.id('n')?)) } else { None };
        let mut keys = Vec::new();
        if line.take_word("by") {
            keys.push(line.key()?);
            while line.take_punctuation(',') {
                keys.push(line.key()?);
            }
        }
        let step = Step { predicate, joined, keys, missing };
        match &mut self.rule.kind {
            RuleKind::Sequence(sequence) if until && sequence.until.is_none() => sequence.until = Some(step),
            RuleKind::Sequence(sequence) if !until && sequence.until.is_none() => sequence.steps.push(step),
            RuleKind::Sample { terms } if !until => terms.push(step),
            _ => return Err(line.error_before("`until` ends a sequence, once")),
        }
        Ok(false)
    }
}

/// Reads one entry. A rule with terms stays open.
fn entry(line: &mut Line<'_>, ir: &mut Ir) -> Result<Option<OpenRule>, TextError> {
    match line.word("an entry")? {
        "field" => field(line, ir)?,
        "atom" => {
            line.own_id('a', ir.atoms.len())?;
            let atom = atom(line)?;
            ir.atoms.push(atom);
        }
        "value" => {
            line.own_id('v', ir.values.len())?;
            let value = value(line)?;
            ir.values.push(value);
        }
        "node" => {
            line.own_id('n', ir.nodes.len())?;
            let node = node(line)?;
            ir.nodes.push(node);
        }
        "predicate" => {
            line.own_id('p', ir.predicates.len())?;
            let category = if line.take_word("any") { None } else { Some(AtomId(line.id('a')?)) };
            line.expect("where")?;
            ir.predicates.push(Predicate { category, root: NodeId(line.id('n')?) });
        }
        "lineage" => lineage(line, ir)?,
        "program" => {
            line.own_id('g', ir.programs.len())?;
            let program = program(line)?;
            ir.programs.push(program);
        }
        "rule" => return rule(line, ir),
        _ => {
            return Err(line.error_before(
                "expected `field`, `lineage`, `atom`, `value`, `node`, `predicate`, `program` or `rule`",
            ));
        }
    }
    Ok(None)
}

fn field(line: &mut Line<'_>, ir: &mut Ir) -> Result<(), TextError> {
    let id = line.id('f')?;
    if id as usize != ir.layout.len() {
        return Err(line.error_before(&format!("expected `f{}`", ir.layout.len())));
    }
    let name = match line.take() {
        Some(Token { kind: TokenKind::Word(name) | TokenKind::Text(name), .. }) => name,
        _ => return Err(line.error_before("expected a field's name")),
    };
    line.expect(":")?;
    let word = line.word("a type")?;
    let field_type = FieldType::ALL.into_iter().find(|field_type| field_type.to_string() == word);
    let field_type = field_type.ok_or_else(|| line.error_before("expected a type"))?;
    let interned = if line.take_word("in") {
        let parent = FieldId(line.id('f')?);
        ir.layout.intern_child(name, field_type, parent)
    } else {
        ir.layout.intern(name, field_type)
    };
    if interned.0 != id {
        return Err(line.error_before(&format!("`{name}` is f{} already", interned.0)));
    }
    Ok(())
}

fn lineage(line: &mut Line<'_>, ir: &mut Ir) -> Result<(), TextError> {
    let mut field = |name: &str| -> Result<FieldId, TextError> {
        line.expect(name)?;
        Ok(FieldId(line.id('f')?))
    };
    let (entity, parent) = (field("entity")?, field("parent")?);
    let (ancestry, event_type) = (field("ancestry")?, field("type")?);
    ir.lineage = Some(LineageFields { entity, parent, ancestry, event_type });
    Ok(())
}

fn atom(line: &mut Line<'_>) -> Result<Atom, TextError> {
    if line.take_word("value") {
        return Ok(Atom::Compute { value: ValueId(line.id('v')?) });
    }
    if line.take_word("any") {
        let object = FieldId(line.id('f')?);
        line.expect("where")?;
        return Ok(Atom::AnyObject { object, condition: NodeId(line.id('n')?) });
    }
    for relation in [Relation::Child, Relation::Descendant, Relation::Event] {
        let first = relation.text().split(' ').next().unwrap_or_default();
        if line.take_word(first) {
            line.expect("of")?;
            return Ok(Atom::Lineage { relation, predicate: PredicateId(line.id('p')?) });
        }
    }
    let field = FieldId(line.id('f')?);
    let word = line.word("a test")?;
    if let Some((matching, fold)) = matching_of(word) {
        return Ok(Atom::Strings { field, matching, fold, strings: line.list(Line::text)? });
    }
    if let Some(comparison) = comparison_of(word) {
        return order_atom(line, field, comparison);
    }
    Ok(match word {
        "present" => Atom::Present { field },
        "is" => {
            let value = line.word("`true` or `false`")?;
            let value = value.parse().map_err(|_| line.error_before("expected `true` or `false`"))?;
            Atom::Boolean { field, value }
        }
        "in" => Atom::Integers { field, values: line.list(Line::integer)? },
        "cidr" => Atom::Cidr { field, blocks: line.list(Line::block)? },
        "version" => {
            let comparison = comparison_of(line.word("a comparison")?);
            let comparison = comparison.ok_or_else(|| line.error_before("expected a comparison"))?;
            Atom::VersionOrder { field, comparison, value: line.text()? }
        }
        _ => return Err(line.error_before("expected a test")),
    })
}

fn order_atom(line: &mut Line<'_>, field: FieldId, comparison: Comparison) -> Result<Atom, TextError> {
    match (line.constant()?, comparison) {
        (Constant::String(value), Comparison::Ordered(order)) => Ok(Atom::StringOrder { field, order, value }),
        (Constant::Integer(value), Comparison::Ordered(order)) => Ok(Atom::IntegerOrder { field, order, value }),
        (Constant::Float(value), _) => Ok(Atom::FloatOrder { field, comparison, value }),
        (Constant::String(_) | Constant::Integer(_), _) => {
            Err(line.error_before("equality with a string or an integer is written `exact [...]` or `in [...]`"))
        }
        _ => Err(line.error_before("expected a string or a number")),
    }
}

fn value(line: &mut Line<'_>) -> Result<Value, TextError> {
    if let Some(field) = line.take_id('f') {
        return Ok(Value::Field(FieldId(field)));
    }
    if let Some(left) = line.take_id('v') {
        let left = ValueId(left);
        let word = line.word("an operator")?;
        if let Some((matching, fold)) = matching_of(word) {
            return Ok(Value::Matches { matching, fold, input: left, strings: line.list(Line::text)? });
        }
        if let Some(comparison) = comparison_of(word) {
            return Ok(Value::Compare { comparison, left, right: ValueId(line.id('v')?) });
        }
        let operation = match word {
            "+" => Arithmetic::Add,
            "-" => Arithmetic::Subtract,
            "*" => Arithmetic::Multiply,
            "/" => Arithmetic::Divide,
            "%" => Arithmetic::Modulo,
            _ => return Err(line.error_before("expected an operator")),
        };
        return Ok(Value::Arithmetic { operation, left, right: ValueId(line.id('v')?) });
    }
    for (word, make) in
        [("negate", Value::Negate as fn(ValueId) -> Value), ("isnull", Value::IsNull), ("notnull", Value::NotNull)]
    {
        if line.take_word(word) {
            return Ok(make(ValueId(line.id('v')?)));
        }
    }
    if line.take_word("when") {
        return Ok(Value::Condition(NodeId(line.id('n')?)));
    }
    if line.take_word("step") {
        let step = line.number()?;
        return Ok(Value::StepField { step, field: FieldId(line.id('f')?) });
    }
    if line.take_word("call") {
        let word = line.word("a function")?;
        let (name, fold) = word.strip_suffix('~').map_or((word, false), |name| (name, true));
        let function = FUNCTIONS.into_iter().find(|function| function_name(*function) == name);
        let function = function.ok_or_else(|| line.error_before("expected a function"))?;
        let arguments = std::iter::from_fn(|| line.take_id('v').map(ValueId)).collect();
        return Ok(Value::Call { function, fold, arguments });
    }
    Ok(Value::Constant(line.constant()?))
}

fn node(line: &mut Line<'_>) -> Result<Node, TextError> {
    if let Some(atom) = line.take_id('a') {
        return Ok(Node::Atom(AtomId(atom)));
    }
    let word = line.word("a node")?;
    Ok(match word {
        "true" => Node::Constant(true),
        "false" => Node::Constant(false),
        "not" => Node::Not(NodeId(line.id('n')?)),
        "and" | "or" => {
            let branches = std::iter::from_fn(|| line.take_id('n').map(NodeId)).collect();
            if word == "and" { Node::And(branches) } else { Node::Or(branches) }
        }
        _ => return Err(line.error_before("expected an atom, `true`, `false`, `not`, `and` or `or`")),
    })
}

fn program(line: &mut Line<'_>) -> Result<Program, TextError> {
    let language = match line.word("`wasm` or `lua`")? {
        "wasm" => ProgramLanguage::Wasm,
        "lua" => ProgramLanguage::Lua,
        _ => return Err(line.error_before("expected `wasm` or `lua`")),
    };
    let name = line.text()?;
    line.expect("fields")?;
    let fields = line.list(|line| line.id('f').map(FieldId))?;
    line.expect("capabilities")?;
    let capabilities =
        line.list(|line| line.word("a capability")?.parse().map_err(|_| line.error_before("expected a capability")))?;
    let mut limit = |word| if line.take_word(word) { line.number().map(Some) } else { Ok(None) };
    let limits = ProgramLimits {
        instructions: limit("instructions")?,
        memory: limit("memory")?,
        host_work: limit("host_work")?,
    };
    Ok(Program { name, language, fields, capabilities, limits })
}

fn rule_program(line: &mut Line<'_>) -> Result<Option<ProgramId>, TextError> {
    if line.take_word("program") { line.id('g').map(|id| Some(ProgramId(id))) } else { Ok(None) }
}

fn rule(line: &mut Line<'_>, ir: &mut Ir) -> Result<Option<OpenRule>, TextError> {
    let id = line.text()?;
    line.expect("=")?;
    let kind = match line.word("`event`, `sequence` or `sample`")? {
        "event" => {
            let kind = RuleKind::Event { predicate: PredicateId(line.id('p')?) };
            let program = rule_program(line)?;
            ir.rules.push(Rule { id, kind, program, pipes: line.pipes()? });
            return Ok(None);
        }
        "sequence" => {
            let maxspan = if line.take_word("maxspan") {
                let span = parse_span(line.word("a span")?);
                Some(span.ok_or_else(|| line.error_before("expected a span such as `5m`"))?)
            } else {
                None
            };
            RuleKind::Sequence(Sequence { steps: Vec::new(), maxspan, until: None })
        }
        "sample" => RuleKind::Sample { terms: Vec::new() },
        _ => return Err(line.error_before("expected `event`, `sequence` or `sample`")),
    };
    if !line.take_punctuation('{') {
        return Err(line.error_here("expected `{`"));
    }
    Ok(Some(OpenRule { rule: Rule { id, kind, pipes: Vec::new(), program: None } }))
}

fn matching_of(word: &str) -> Option<(StringMatch, bool)> {
    let (name, fold) = word.strip_suffix('~').map_or((word, false), |name| (name, true));
    let matching = match name {
        "exact" => StringMatch::Exact,
        "wildcard" => StringMatch::Wildcard,
        "regex" => StringMatch::Regex,
        _ => return None,
    };
    Some((matching, fold))
}

fn comparison_of(word: &str) -> Option<Comparison> {
    Some(match word {
        "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<" => Comparison::Ordered(Order::Less),
        "<=" => Comparison::Ordered(Order::LessEqual),
        ">" => Comparison::Ordered(Order::Greater),
        ">=" => Comparison::Ordered(Order::GreaterEqual),
        _ => return None,
    })
}
