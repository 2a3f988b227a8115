//! The codes E02xx: names and types that do not fit.
//!
//! In: the words of a mistake. Out: its [`Diagnostic`], with a fix where there is one sure way to write it.

use crate::diagnostics::{Diagnostic, declare};
use crate::syntax::Span;

declare! { Error;
    /// A field that the schema does not know.
    "E0201" "unknown field" UnknownField { name: String, nearest: Vec<String>, note: Option<String> }
    /// A function that no dialect knows.
    "E0202" "unknown function" UnknownFunction { name: String, nearest: Option<String> }
    /// `length(a, b)`
    "E0203" "wrong number of arguments" WrongArgumentCount { name: &'static str, signature: String, expected: String, found: usize }
    /// `length(1)`
    "E0204" "wrong type of an argument" WrongArgumentType { name: &'static str, signature: String, position: usize, expected: &'static str, found: String, help: Option<String> }
    /// `process.pid == "x"`
    "E0205" "operands of different types" TypesDiffer { operator: &'static str, left: (Span, String), right: (Span, String), help: Option<String>, fix: Option<(Span, String)> }
    /// `process.name + 1`, `flag < true`
    "E0206" "operator does not fit the type" OperatorDoesNotFit { operator: &'static str, expected: &'static str, found: String, help: Option<String> }
    /// `process where process.name`
    "E0207" "condition is not boolean" ConditionNotBoolean { place: &'static str, found: String }
    /// `x in ("a", y)`
    "E0208" "list element is not a constant" ListElementNotConstant { operator: &'static str }
    /// `x in ("a", 1)`
    "E0209" "list element of another type" ListElementTypeDiffers { operator: &'static str, subject: (Span, String), found: String, help: Option<String>, fix: Option<String> }
    /// `process.name == process.parent.name`
    "E0210" "field compared with a field" FieldAgainstField { operator: &'static str, left: Span, right: Span }
    /// `x regex "("`
    "E0211" "malformed regular expression" MalformedRegex { message: String, help: Option<String> }
    /// `cidrMatch(source.ip, "10.0.0.0/33")`
    "E0212" "malformed address or block" MalformedAddress { text: String, expected: &'static str, help: Option<String> }
    /// `@timestamp > "yesterday"`
    "E0213" "malformed date" MalformedDate { text: String }
    /// `package.version == "new"`
    "E0214" "malformed version" MalformedVersion { text: String }
    /// `x / 0`
    "E0215" "division by zero" DivisionByZero { operator: &'static str }
    /// `$x` outside a search, or of another search.
    "E0216" "unknown variable" UnknownVariable { name: String, known: Option<String> }
    /// `arraySearch(process.args, x, ..)`
    "E0217" "malformed array search" MalformedArraySearch { message: String, expected: &'static str }
    /// `by source.ip` here, `by process.pid` there.
    "E0218" "keys of different types" KeyTypesDiffer { name: String, found: String, first: Span, first_name: String, expected: String }
    /// `e1.process.name` where `e1` is a later term.
    "E0219" "misplaced step alias" MisplacedAlias { name: String, reason: &'static str, defined: Option<Span> }
    /// `process.parent == "x"`
    "E0220" "object used as a value" ObjectAsValue { name: String, below: Vec<String> }
    /// `x like 5`
    "E0221" "pattern is not a text" PatternNotText { operator: &'static str, found: String, fix: Option<String> }
    /// `[..] as e0 [..] as e0`
    "E0222" "alias defined twice" AliasTwice { name: String, first: Span }
    /// `cidrMatch(source.ip, destination.ip)`
    "E0223" "argument is not a constant" ArgumentNotConstant { name: &'static str, expected: &'static str }
    /// `arrayCount(1)`
    "E0224" "argument is not a field" ArgumentNotField { name: &'static str }
    /// A hand-written predicate on a sequence or a sample.
    "E0225" "predicate on a query of many events" PredicateOnManyEvents {}
    /// A hand-written predicate may read a field that is none.
    "E0226" "predicate reads no field" PredicateReadsNoField { name: String, reason: &'static str, nearest: Option<String> }
}

impl From<UnknownField> for Diagnostic {
    fn from(error: UnknownField) -> Self {
        let mut diagnostic = error
            .start(format!("unknown field `{}`", error.name))
            .primary(error.span, "the schema does not know this field");
        diagnostic.notes.extend(error.note);
        let Some(best) = error.nearest.first() else {
            return diagnostic.help("`eqlc fields` lists what the schema knows; `?` before a name makes it optional");
        };
        let others: Vec<String> = error.nearest.iter().map(|name| format!("`{name}`")).collect();
        diagnostic = diagnostic.help(format!("did you mean {}?", others.join(" or ")));
        // A machine may only apply what is a slip of the finger, or the same words written otherwise.
        if is_slip(&error.name, best) { diagnostic.fix(error.span, best) } else { diagnostic }
    }
}

/// Whether two names differ by at most two letters, or by separators and case alone.
fn is_slip(written: &str, meant: &str) -> bool {
    let letters =
        |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let (written, meant) = (letters(written), letters(meant));
    let allowed = if written.len() < 5 { 1 } else { 2 };
    strsim::damerau_levenshtein(&written, &meant) <= allowed
}

impl From<UnknownFunction> for Diagnostic {
    fn from(error: UnknownFunction) -> Self {
        let diagnostic = error
            .start(format!("unknown function `{}`", error.name))
            .primary(error.span, "there is no function of this name");
        match error.nearest {
            Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")).fix(error.span, nearest),
            None => diagnostic.help(format!("the functions are {}", super::functions::names().join(", "))),
        }
    }
}

impl From<WrongArgumentCount> for Diagnostic {
    fn from(error: WrongArgumentCount) -> Self {
        error
            .start(format!("`{}` takes {}, found {}", error.name, error.expected, error.found))
            .primary(error.span, format!("expected {}", error.expected))
            .note(format!("it is called as `{}`", error.signature))
    }
}

impl From<WrongArgumentType> for Diagnostic {
    fn from(error: WrongArgumentType) -> Self {
        let message =
            format!("argument {} of `{}` is {}, expected {}", error.position, error.name, error.found, error.expected);
        let mut diagnostic = error
            .start(message)
            .primary(error.span, format!("expected {}, found {}", error.expected, error.found))
            .note(format!("it is called as `{}`", error.signature));
        diagnostic.help = error.help;
        diagnostic
    }
}

impl From<TypesDiffer> for Diagnostic {
    fn from(error: TypesDiffer) -> Self {
        let message = format!("`{}` compares {} with {}", error.operator, error.left.1, error.right.1);
        let mut diagnostic = error
            .start(message)
            .primary(error.right.0, format!("this is {}", error.right.1))
            .secondary(error.left.0, format!("this is {}", error.left.1));
        diagnostic.help = error.help;
        match error.fix {
            Some((span, replacement)) => diagnostic.fix(span, replacement),
            None => diagnostic,
        }
    }
}

impl From<OperatorDoesNotFit> for Diagnostic {
    fn from(error: OperatorDoesNotFit) -> Self {
        let mut diagnostic = error
            .start(format!("`{}` wants {}, found {}", error.operator, error.expected, error.found))
            .primary(error.span, format!("expected {}, found {}", error.expected, error.found));
        diagnostic.help = error.help;
        diagnostic
    }
}

impl From<ConditionNotBoolean> for Diagnostic {
    fn from(error: ConditionNotBoolean) -> Self {
        error
            .start(format!("{} must be true or false, found {}", error.place, error.found))
            .primary(error.span, format!("expected a condition, found {}", error.found))
            .help("compare it with something, or test with `!= null` whether it is there")
    }
}

impl From<ListElementNotConstant> for Diagnostic {
    fn from(error: ListElementNotConstant) -> Self {
        error
            .start(format!("the list behind `{}` holds constants only", error.operator))
            .primary(error.span, "not a constant")
            .help("compare with `==` and join the comparisons with `or`")
    }
}

impl From<ListElementTypeDiffers> for Diagnostic {
    fn from(error: ListElementTypeDiffers) -> Self {
        let message = format!("`{}` looks for {} in a list with {}", error.operator, error.subject.1, error.found);
        let mut diagnostic = error
            .start(message)
            .primary(error.span, format!("this is {}", error.found))
            .secondary(error.subject.0, format!("this is {}", error.subject.1));
        diagnostic.help = error.help;
        match error.fix {
            Some(replacement) => diagnostic.fix(error.span, replacement),
            None => diagnostic,
        }
    }
}

impl From<FieldAgainstField> for Diagnostic {
    fn from(error: FieldAgainstField) -> Self {
        error
            .start(format!(
                "`{}` compares a field with a field, which only the dialect `endpoint` allows",
                error.operator
            ))
            .primary(error.right, "expected a constant")
            .secondary(error.left, "this depends on the event too")
            .help("choose the dialect with `--dialect endpoint` or `dialect = \"endpoint\"`")
    }
}

impl From<MalformedRegex> for Diagnostic {
    fn from(error: MalformedRegex) -> Self {
        let mut diagnostic = error
            .start(format!("malformed regular expression: {}", error.message))
            .primary(error.span, error.message.clone());
        diagnostic.help = error.help;
        diagnostic
    }
}

impl From<MalformedAddress> for Diagnostic {
    fn from(error: MalformedAddress) -> Self {
        let mut diagnostic = error
            .start(format!("`{}` is not {}", error.text, error.expected))
            .primary(error.span, format!("expected {}", error.expected));
        diagnostic.help = error.help;
        diagnostic
    }
}

impl From<MalformedDate> for Diagnostic {
    fn from(error: MalformedDate) -> Self {
        error
            .start(format!("`{}` is not a date", error.text))
            .primary(error.span, "expected a date")
            .help("write it as in `\"2026-11-21T07:12:03Z\"`, or as milliseconds since 1970")
    }
}

impl From<MalformedVersion> for Diagnostic {
    fn from(error: MalformedVersion) -> Self {
        error
            .start(format!("`{}` is not a version", error.text))
            .primary(error.span, "expected a version")
            .help("write it as in `\"1.12.0\"` or `\"2.0.0-rc.1\"`")
    }
}

impl From<DivisionByZero> for Diagnostic {
    fn from(error: DivisionByZero) -> Self {
        error
            .start(format!("`{}` by zero", error.operator))
            .primary(error.span, "this is zero")
            .note("a division by zero gives null, so this could never be true")
    }
}

impl From<UnknownVariable> for Diagnostic {
    fn from(error: UnknownVariable) -> Self {
        let diagnostic = error
            .start(format!("unknown variable `${}`", error.name))
            .primary(error.span, "nothing defines this variable here");
        match error.known {
            Some(known) => diagnostic.help(format!("the search around it defines `${known}`")),
            None => diagnostic.help("a variable is defined by `_arraysearch(field, $name, condition)`"),
        }
    }
}

impl From<MalformedArraySearch> for Diagnostic {
    fn from(error: MalformedArraySearch) -> Self {
        error
            .start(error.message.clone())
            .primary(error.span, format!("expected {}", error.expected))
            .note("it is called as `_arraysearch(field, $name, condition)`")
    }
}

impl From<KeyTypesDiffer> for Diagnostic {
    fn from(error: KeyTypesDiffer) -> Self {
        let message =
            format!("key `{}` is {}, but `{}` is {}", error.name, error.found, error.first_name, error.expected);
        error
            .start(message)
            .primary(error.span, format!("expected {}, found {}", error.expected, error.found))
            .secondary(error.first, format!("this is {}", error.expected))
            .note("events join by equal values, in the order of the keys")
    }
}

impl From<MisplacedAlias> for Diagnostic {
    fn from(error: MisplacedAlias) -> Self {
        let diagnostic =
            error.start(format!("the event `{}` cannot be used here", error.name)).primary(error.span, error.reason);
        match error.defined {
            Some(span) => diagnostic.secondary(span, "defined here"),
            None => diagnostic,
        }
    }
}

impl From<ObjectAsValue> for Diagnostic {
    fn from(error: ObjectAsValue) -> Self {
        let diagnostic = error
            .start(format!("`{}` is an object, not a value", error.name))
            .primary(error.span, "expected a field with a value");
        if error.below.is_empty() {
            return diagnostic.help("an object can only be tested with `== null` and searched with `_arraysearch`");
        }
        let below: Vec<String> = error.below.iter().map(|name| format!("`{name}`")).collect();
        diagnostic.help(format!("below it are {}", below.join(", ")))
    }
}

impl From<PatternNotText> for Diagnostic {
    fn from(error: PatternNotText) -> Self {
        let diagnostic = error
            .start(format!("expected a text behind `{}`, found {}", error.operator, error.found))
            .primary(error.span, format!("expected a text, found {}", error.found));
        match error.fix {
            Some(fix) => diagnostic.help(format!("write `{fix}`, or compare with `==`")).fix(error.span, fix),
            None => diagnostic.help("compare with `==`"),
        }
    }
}

impl From<AliasTwice> for Diagnostic {
    fn from(error: AliasTwice) -> Self {
        error
            .start(format!("the alias `{}` is defined twice", error.name))
            .primary(error.span, "the second")
            .secondary(error.first, "the first")
            .help("give each term a name of its own")
    }
}

impl From<ArgumentNotConstant> for Diagnostic {
    fn from(error: ArgumentNotConstant) -> Self {
        error
            .start(format!("`{}` wants {} here", error.name, error.expected))
            .primary(error.span, format!("expected {}", error.expected))
    }
}

impl From<ArgumentNotField> for Diagnostic {
    fn from(error: ArgumentNotField) -> Self {
        error
            .start(format!("the first argument of `{}` must be a field", error.name))
            .primary(error.span, "expected a field")
    }
}

impl From<PredicateOnManyEvents> for Diagnostic {
    fn from(error: PredicateOnManyEvents) -> Self {
        error
            .start("a hand-written predicate decides about single events, and the query is about many")
            .primary(error.span, "this predicate")
            .help(
                "write the query as `process where …`; a predicate with the capability `state` can count events itself",
            )
            .whole_file()
    }
}

impl From<PredicateReadsNoField> for Diagnostic {
    fn from(error: PredicateReadsNoField) -> Self {
        let diagnostic = error
            .start(format!("a predicate cannot read `{}`", error.name))
            .primary(error.span, error.reason)
            .whole_file();
        match error.nearest {
            Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")),
            None => diagnostic.help("`eqlc fields` lists what the schema knows"),
        }
    }
}
