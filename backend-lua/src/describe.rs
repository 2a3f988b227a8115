//! What an atom tests, in the words of EQL, for a comment behind it.
//!
//! In: an atom. Out: one line without line breaks, cut short where lists and texts are long. Nothing parses it back.

use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, Comparison, Order, StringMatch};

/// The most list entries that a comment shows.
const SHOWN: usize = 5;
/// The longest text that a comment shows, in characters.
const LONGEST: usize = 40;

/// The atom in words.
pub(crate) fn describe(atom: &Atom, layout: &Layout) -> String {
    let name = |field: &FieldId| one_line(layout.name(*field));
    match atom {
        Atom::Present { field } => format!("{} != null", name(field)),
        Atom::Boolean { field, value } => format!("{} == {value}", name(field)),
        Atom::Strings { field, matching, fold, strings } => {
            let many = strings.len() > 1;
            let operator = match (matching, fold) {
                (StringMatch::Exact, false) if many => "in",
                (StringMatch::Exact, false) => "==",
                (StringMatch::Exact, true) if many => "in~",
                (StringMatch::Exact, true) => ":",
                (StringMatch::Wildcard, false) => "like",
                (StringMatch::Wildcard, true) => "like~",
                (StringMatch::Regex, false) => "regex",
                (StringMatch::Regex, true) => "regex~",
            };
            format!("{} {operator} {}", name(field), list(strings, |string| quoted(string)))
        }
        Atom::StringOrder { field, order, value } => {
            format!("{} {} {}", name(field), order_sign(*order), quoted(value))
        }
        Atom::Integers { field, values } => {
            let operator = if values.len() > 1 { "in" } else { "==" };
            format!("{} {operator} {}", name(field), list(values, i64::to_string))
        }
        Atom::IntegerOrder { field, order, value } => format!("{} {} {value}", name(field), order_sign(*order)),
        Atom::FloatOrder { field, comparison, value } => {
            format!("{} {} {value:?}", name(field), comparison_sign(*comparison))
        }
        Atom::Cidr { field, blocks } => format!("cidrmatch({}, {})", name(field), few(blocks, ToString::to_string)),
        Atom::VersionOrder { field, comparison, value } => {
            format!("{} {} version {}", name(field), comparison_sign(*comparison), quoted(value))
        }
        Atom::Compute { .. } => "a computation".to_owned(),
        Atom::AnyObject { object, .. } => format!("any object of {}", name(object)),
        Atom::Lineage { relation, predicate } => format!("{} a process of predicate {}", relation.text(), predicate.0),
    }
}

/// A text in quotes, escaped so that it stays on its line.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or("")),
    }
}

fn one_line(text: &str) -> String {
    text.escape_debug().take(LONGEST * 4).collect()
}

/// One entry as it is, more in parentheses.
fn list<T>(entries: &[T], show: impl Fn(&T) -> String) -> String {
    let few = few(entries, show);
    if entries.len() == 1 { few } else { format!("({few})") }
}

fn few<T>(entries: &[T], show: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = entries.iter().take(SHOWN).map(show).collect();
    let joined = shown.join(", ");
    match entries.len().saturating_sub(SHOWN) {
        0 => joined,
        more => format!("{joined}, {more} more"),
    }
}

fn order_sign(order: Order) -> &'static str {
    match order {
        Order::Less => "<",
        Order::LessEqual => "<=",
        Order::Greater => ">",
        Order::GreaterEqual => ">=",
    }
}

fn comparison_sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Ordered(order) => order_sign(order),
    }
}
