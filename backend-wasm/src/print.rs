//! The text of a module, to learn from: names that say which rule a function is of, and comments that say which test is
//! asked and which field is read.
//!
//! In: an IR. Out: WebAssembly text of the very module that goes into a pack; names and comments are added to a copy.
//! What is a function and what it is called is read from the finished bytes, so that this file knows nothing of how they
//! were made beyond the names `predicate_7`, `node_3` and `ask`, and that an answer is a byte at a place of its own.
//!
//! ```text
//! module bytes ── names of our own ── wasmprinter ── rules first ── comments, line by line ──▶ text
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use kestrel_ir::frame::{SLOT_SIZE, slot_offset};
use kestrel_ir::model::{AtomId, Ir, Node, NodeId, PredicateId, RuleKind};
use kestrel_ir::text::atom_expression;
use wasm_encoder::{CustomSection, IndirectNameMap, Module, NameMap, NameSection, RawSection};
use wasmparser::{KnownCustom, Name, Parser, Payload, ValType};

use crate::abi::{ANSWERS_ADDRESS, EVALUATE_EXPORT};
use crate::{WasmError, compile};

/// The name of the function that asks the host.
const ASK_FUNCTION_NAME: &str = "ask";
/// The longest comment, in characters.
const LONGEST: usize = 160;
/// The longest name made of a rule's id, in characters.
const LONGEST_NAME: usize = 48;

/// The text of the module that [`compile`] gives.
///
/// ```
/// let text = kestrel_backend_wasm::print(&kestrel_ir::model::Ir::default())?;
/// assert!(text.contains("(module $kestrel_predicates"));
/// # Ok::<(), kestrel_backend_wasm::WasmError>(())
/// ```
///
/// # Errors
/// As for [`compile`].
pub fn print(ir: &Ir) -> Result<String, WasmError> {
    let bytes = compile(ir)?;
    let functions = Functions::read(&bytes)?;
    let named = with_names(&bytes, &functions, ir)?;
    let text = wasmprinter::print_bytes(&named).map_err(|error| WasmError::Print { what: error.to_string() })?;
    Ok(commented(&rules_first(&text), &functions, ir))
}

/// The functions of a module, by index.
#[derive(Debug, Default)]
struct Functions {
    names: BTreeMap<u32, String>,
    /// Of each function with a body, parameters and locals.
    locals: BTreeMap<u32, Locals>,
}

#[derive(Debug, Default)]
struct Locals {
    parameters: usize,
    types: Vec<ValType>,
}

impl Functions {
    fn read(bytes: &[u8]) -> Result<Functions, WasmError> {
        let mut functions = Functions::default();
        let mut parameters: Vec<Vec<ValType>> = Vec::new();
        let mut types: Vec<u32> = Vec::new();
        let mut imported = 0;
        let mut bodies = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for function in section.into_iter_err_on_gc_types() {
                        parameters.push(function?.params().to_vec());
                    }
                }
                Payload::ImportSection(section) => imported = section.count(),
                Payload::FunctionSection(section) => {
                    types = section.into_iter().collect::<Result<Vec<u32>, _>>()?;
                }
                Payload::CodeSectionEntry(body) => {
                    let own = types.get(bodies as usize).and_then(|&id| parameters.get(id as usize));
                    let own = own.cloned().unwrap_or_default();
                    let mut locals = Locals { parameters: own.len(), types: own };
                    for group in body.get_locals_reader()? {
                        let (count, local) = group?;
                        locals.types.extend(std::iter::repeat_n(local, count as usize));
                    }
                    functions.locals.insert(imported + bodies, locals);
                    bodies += 1;
                }
                Payload::CustomSection(section) => {
                    let KnownCustom::Name(names) = section.as_known() else { continue };
                    for subsection in names {
                        let Name::Function(map) = subsection? else { continue };
                        for naming in map {
                            let naming = naming?;
                            functions.names.insert(naming.index, naming.name.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(functions)
    }
}

/// A copy of the module with names for people in place of its own.
fn with_names(bytes: &[u8], functions: &Functions, ir: &Ir) -> Result<Vec<u8>, WasmError> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Payload::CustomSection(section) = &payload {
            if section.name() != "name" {
                module.section(&CustomSection {
                    name: Cow::Borrowed(section.name()),
                    data: Cow::Borrowed(section.data()),
                });
            }
        } else if let Some((id, range)) = payload.as_section() {
            let data = bytes.get(range).unwrap_or_default();
            module.section(&RawSection { id, data });
        }
    }
    let mut names = NameSection::new();
    names.module("kestrel_predicates");
    let mut of_functions = NameMap::new();
    for (&index, name) in &functions.names {
        of_functions.append(index, &long_name(name, ir));
    }
    names.functions(&of_functions);
    let mut of_locals = IndirectNameMap::new();
    for (&index, locals) in &functions.locals {
        let function = functions.names.get(&index).map_or("", String::as_str);
        let mut map = NameMap::new();
        for (number, name) in local_names(function, locals) {
            map.append(number, name);
        }
        of_locals.append(index, &map);
    }
    names.locals(&of_locals);
    module.section(&names);
    Ok(module.finish())
}

/// What the locals of a function hold. A local that is not known has no name.
fn local_names(function: &str, locals: &Locals) -> Vec<(u32, &'static str)> {
    const PREDICATE: [ValType; 5] = [ValType::I32, ValType::I32, ValType::I64, ValType::F64, ValType::I32];
    let known: &[&str] = match (function, locals.parameters) {
        (EVALUATE_EXPORT, 2) if locals.types.as_slice() == [ValType::I32; 7] => {
            &["event", "end", "frame", "generation", "pair", "pairs_end", "place"]
        }
        (ASK_FUNCTION_NAME, 2) => &["atom", "generation", "answer"],
        (_, 2) if locals.types.as_slice() == PREDICATE => &["frame", "generation", "integer", "decimal", "answer"],
        (_, 3) if locals.types.get(3..) == Some(&[ValType::I64; 3]) => {
            &["frame", "slot", "wanted", "address", "end", "limit"]
        }
        _ => &[],
    };
    (0_u32..).zip(known.iter().copied()).collect()
}

/// What a function of a module is, by its short name.
enum Meaning {
    Predicate(PredicateId),
    Node(NodeId),
    Other,
}

impl Meaning {
    fn of(name: &str) -> Meaning {
        let number = |text: &str| {
            let digits = text.split(|character: char| !character.is_ascii_digit()).next().unwrap_or("");
            digits.parse::<u32>().ok()
        };
        if let Some(id) = name.strip_prefix("predicate_").and_then(number) {
            Meaning::Predicate(PredicateId(id))
        } else if let Some(id) = name.strip_prefix("node_").and_then(number) {
            Meaning::Node(NodeId(id))
        } else {
            Meaning::Other
        }
    }
}

/// `predicate_0` becomes `predicate_0:shell/step_0`, `node_5` becomes `node_5:any_of`.
fn long_name(name: &str, ir: &Ir) -> String {
    match Meaning::of(name) {
        Meaning::Predicate(id) => match uses(ir, id).into_iter().next() {
            Some((rule, None)) => format!("{name}:{}", plain(&rule)),
            Some((rule, Some(term))) => format!("{name}:{}/step_{term}", plain(&rule)),
            None => format!("{name}:lineage"),
        },
        Meaning::Node(id) => match ir.node(id) {
            Some(Node::And(_)) => format!("{name}:all_of"),
            Some(Node::Or(_)) => format!("{name}:any_of"),
            Some(Node::Not(_)) => format!("{name}:not"),
            _ => name.to_owned(),
        },
        Meaning::Other => name.to_owned(),
    }
}

/// The rules that use a predicate, and as which of their terms; no term for a rule of single events.
fn uses(ir: &Ir, id: PredicateId) -> Vec<(String, Option<usize>)> {
    let mut uses = Vec::new();
    for rule in &ir.rules {
        let single = matches!(rule.kind, RuleKind::Event { .. });
        for (term, predicate) in rule.predicates().into_iter().enumerate() {
            if predicate == id {
                uses.push((rule.id.clone(), (!single).then_some(term)));
            }
        }
    }
    uses
}

/// Only characters that a name in the text may have without quotes.
fn plain(text: &str) -> String {
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    text.chars().take(LONGEST_NAME).map(|character| if fits(character) { character } else { '_' }).collect()
}

/// The text with the functions of rules in front of those that all modules have. Functions are called by their names, so
/// that their order in the text means nothing.
fn rules_first(text: &str) -> String {
    const FUNCTION: &str = "  (func $";
    const END: &str = "  )";
    let (mut rules, mut others, mut rest) = (String::new(), String::new(), String::new());
    let mut head = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix(FUNCTION) else {
            // What stands before the functions and behind them: of the latter there is the last parenthesis.
            let part = if line == ")" { &mut rest } else { &mut head };
            let _ = writeln!(part, "{line}");
            continue;
        };
        let of_rules = !matches!(Meaning::of(name), Meaning::Other);
        let part = if of_rules { &mut rules } else { &mut others };
        let _ = writeln!(part, "{line}");
        for line in lines.by_ref() {
            let _ = writeln!(part, "{line}");
            if line == END {
                break;
            }
        }
    }
    head + &rules + &others + &rest
}

/// The text with a legend in front, a sentence over each function and a comment behind each test and each load.
fn commented(text: &str, functions: &Functions, ir: &Ir) -> String {
    let by_long_name: BTreeMap<String, &str> =
        functions.names.values().map(|name| (long_name(name, ir), name.as_str())).collect();
    let mut out = legend(ir);
    // Whether the function at hand is of a rule: only there an offset is that of a field or of an answer.
    let mut of_rule = false;
    for line in text.lines() {
        let word = line.trim_start();
        let indent = line.len() - word.len();
        if let Some(name) = word.strip_prefix("(func $").and_then(|rest| rest.split([' ', ')']).next()) {
            let short = by_long_name.get(name).copied().unwrap_or("");
            of_rule = !matches!(Meaning::of(short), Meaning::Other);
            if let Some(sentence) = sentence(short, ir) {
                let _ = writeln!(out, "{:indent$};; {}", "", cut(&sentence));
            }
        }
        match of_rule.then(|| loaded(word, ir)).flatten() {
            Some(comment) => {
                let _ = writeln!(out, "{line} ;; {}", cut(&comment));
            }
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

fn legend(ir: &Ir) -> String {
    let mut out = String::from(
        ";; Each predicate is a function of a frame's address and of the generation of answers, and leaves 1 or 0.\n\
         ;; `evaluate` goes over the events that the host lists, calls the predicates that each is asked about and sets a\n\
         ;; bit for each that holds. Numbers and truth values are read from the frame. Every other test has a byte among the\n\
         ;; answers: the generation for false, one more for true. Any other byte means that it was not asked about this\n\
         ;; event, and `ask` has the host answer it. These are the tests by number:\n",
    );
    for index in 0..ir.atoms.len() as u32 {
        let atom = format!("a{index}: {}", atom_expression(ir, AtomId(index)));
        let _ = writeln!(out, ";;   {}", cut(&atom));
    }
    out
}

fn sentence(name: &str, ir: &Ir) -> Option<String> {
    match Meaning::of(name) {
        Meaning::Predicate(id) => {
            let uses: Vec<String> = uses(ir, id)
                .into_iter()
                .map(|(rule, term)| match term {
                    Some(term) => format!("term {term} of rule {rule:?}"),
                    None => format!("rule {rule:?}"),
                })
                .collect();
            match uses.is_empty() {
                true => Some(format!("p{}: an event that lineage asks for", id.0)),
                false => Some(format!("p{}: {}", id.0, uses.join(", "))),
            }
        }
        Meaning::Node(id) if ir.node(id).is_some() => {
            Some(format!("n{}: a function of its own, because several use it or it is large", id.0))
        }
        _ => None,
    }
}

/// What a load in a function of a rule reads: an answer, which is a byte of its own, or a slot of the frame.
fn loaded(word: &str, ir: &Ir) -> Option<String> {
    let (instruction, rest) = word.split_once(' ')?;
    if !instruction.contains(".load") {
        return None;
    }
    let offset = rest.split(' ').find_map(|part| part.strip_prefix("offset="))?.parse::<usize>().ok()?;
    if instruction == "i32.load8_u" {
        let atom = AtomId(u32::try_from(offset.checked_sub(ANSWERS_ADDRESS as usize)?).ok()?);
        return ir.atom(atom).map(|_| format!("a{}: {}", atom.0, atom_expression(ir, atom)));
    }
    let slots = ir.layout.top_level_slots();
    let (_, field) = ir.layout.iter().filter(|(_, field)| field.parent.is_none()).find(|(_, field)| {
        let start = slot_offset(slots, field.slot as usize);
        (start..start + SLOT_SIZE).contains(&offset)
    })?;
    Some(field.name.escape_debug().to_string())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
    }
}
