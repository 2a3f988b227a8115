//! The codes E01xx: what can be wrong with the form of a query.
//!
//! In: the words of a mistake. Out: its [`Diagnostic`], with a fix where there is one sure way to write it.

use crate::diagnostics::{Diagnostic, declare};
use crate::syntax::{Dialect, Span};

declare! { Error;
    /// Characters that no token starts with.
    "E0101" "unknown character" UnknownCharacter { text: String, fix: Option<(String, String)> }
    /// A string without its closing quote.
    "E0102" "unterminated string" UnterminatedString { quote: &'static str, close_at: usize }
    /// A `/*` without its `*/`.
    "E0103" "unterminated comment" UnterminatedComment {}
    /// A backslash and something it does not go with.
    "E0104" "unknown escape" UnknownEscape { text: String, reason: &'static str }
    /// `'...'`
    "E0105" "single-quoted string" SingleQuotedString { replacement: String }
    /// `?"..."`
    "E0106" "old form of a raw string" OldRawString { replacement: String }
    /// `“...”`
    "E0107" "typographic quotes" TypographicQuotes { replacement: String }
    /// A number that is none.
    "E0108" "malformed number" MalformedNumber { text: String, reason: &'static str, value: Option<String> }
    /// A backtick without its partner, or with nothing between.
    "E0109" "malformed quoted name" MalformedQuotedName { reason: &'static str }
    /// `length~(..)`
    "E0110" "misplaced `~`" MisplacedFold { name: String, allowed: String }
    /// Anything else that does not fit.
    "E0111" "unexpected token" UnexpectedToken { found: String, expected: String, help: Option<String>, fix: Option<(Span, String)> }
    /// `(` or `[` without its partner.
    "E0112" "unclosed bracket" UnclosedBracket { open: &'static str, close: &'static str, at: usize }
    /// `)` or `]` without its partner.
    "E0113" "unmatched closing bracket" UnmatchedClose { close: &'static str }
    /// `process a == 1`
    "E0114" "missing `where`" MissingWhere { category: String, insertion: &'static str }
    /// `a == 1`
    "E0115" "missing event category" MissingCategory { insertion: &'static str }
    /// `a = 1`
    "E0116" "`=` is not equality" SingleEquals {}
    /// `&&` and others.
    "E0117" "operator of another language" ForeignOperator { text: String, replacement: String, sure: bool }
    /// `AND`
    "E0118" "keyword in upper case" UpperCaseKeyword { text: String, keyword: &'static str }
    /// `process.any`
    "E0119" "keyword used as a name" KeywordAsName { keyword: String }
    /// `1 < a < 5`
    "E0120" "chained comparison" ChainedComparison { first: Span }
    /// `x not like y`
    "E0121" "`not` before a pattern operator" NotBeforeMatch { operator: &'static str, subject: String, not_span: Span, fix: Option<(Span, String)> }
    /// `x : y`
    "E0122" "pattern is not a constant" PatternNotConstant { operator: &'static str, found: &'static str, fix: Option<(Span, String)> }
    /// `x in ()`
    "E0123" "empty list" EmptyList { operator: &'static str }
    /// `with maxspan=5m by x`
    "E0124" "parts in the wrong order" WrongOrder { part: &'static str, before: &'static str, fix: Option<(Span, String)> }
    /// `maxspan=5`
    "E0125" "duration without a unit" DurationWithoutUnit { number: String }
    /// `maxspan=0s`
    "E0126" "duration is not positive" DurationNotPositive {}
    /// `maxspan=1.5m`
    "E0127" "decimal duration" DecimalDuration { text: String, whole: Option<String> }
    /// `maxspan=5min`
    "E0128" "unknown unit" UnknownUnit { unit: String, number: String, nearest: Option<&'static str> }
    /// `maxspan="5m"`, or a duration of centuries.
    "E0129" "malformed duration" MalformedDuration { reason: &'static str, fix: Option<String> }
    /// `with runs=0`
    "E0130" "runs out of range" RunsOutOfRange { text: String }
    /// `sequence [a where true]`
    "E0131" "too few terms" TooFewTerms { form: &'static str, found: usize, single: Option<Span> }
    /// `sequence with maxspan=1s ![..] ![..]`
    "E0132" "no positive term" NoPositiveTerm {}
    /// `until process where true`
    "E0133" "filter without brackets" FilterWithoutBrackets { text: String }
    /// `sequence [..] ![..]`
    "E0134" "missing event without `maxspan`" MissingEventWithoutMaxspan {}
    /// Something that another dialect has.
    "E0135" "construct of another dialect" OtherDialect { what: String, dialect: Dialect, has: Dialect, help: Option<String> }
    /// `a[0]`
    "E0136" "array index" ArrayIndex { field: String }
    /// `| haed 5`
    "E0137" "unknown pipe" UnknownPipe { name: String, nearest: Option<String> }
    /// `| head "x"`
    "E0138" "wrong argument of a pipe" WrongPipeArgument { pipe: String, expected: &'static str }
    /// `[a ..] by x [b ..] by x, y`
    "E0139" "different numbers of keys" KeyCountDiffers { first: Span, expected: usize, found: usize }
    /// `sample [..] [..]`
    "E0140" "sample without keys" SampleWithoutKeys {}
    /// `until [..] with runs=3`
    "E0141" "part not allowed here" PartNotAllowed { part: &'static str, place: &'static str }
    /// Nothing but blanks and comments.
    "E0142" "empty query" EmptyQuery {}
    /// `by a by b`
    "E0143" "part written twice" PartTwice { part: &'static str, first: Span }
}

impl From<UnknownCharacter> for Diagnostic {
    fn from(error: UnknownCharacter) -> Self {
        let start = error.start(format!("unknown character `{}`", error.text));
        let diagnostic = start.primary(error.span, "no token starts with this");
        match error.fix {
            Some((help, replacement)) => diagnostic.help(help).fix(error.span, replacement),
            None => diagnostic,
        }
    }
}

impl From<UnterminatedString> for Diagnostic {
    fn from(error: UnterminatedString) -> Self {
        error
            .start("unterminated string")
            .primary(error.span, format!("expected a closing `{}` on this line", error.quote))
            .note("a string may not hold a line break; write `\\n` for one")
            .help(format!("close the string with `{}`", error.quote))
            .fix(Span::new(error.close_at, error.close_at), error.quote)
    }
}

impl From<UnterminatedComment> for Diagnostic {
    fn from(error: UnterminatedComment) -> Self {
        error
            .start("unterminated comment")
            .primary(error.span, "this comment never ends")
            .note("comments nest: each `/*` wants a `*/` of its own")
            .help("close it with `*/`")
    }
}

impl From<UnknownEscape> for Diagnostic {
    fn from(error: UnknownEscape) -> Self {
        error
            .start(format!("unknown escape `{}`", error.text))
            .primary(error.span, error.reason)
            .note("the escapes are `\\b \\t \\n \\f \\r \\\" \\' \\\\` and `\\u{..}` with 2 to 8 hexadecimal digits")
            .help(format!("double the backslash, `\\{}`, or write a raw string, `\"\"\"..\"\"\"`", error.text))
            .fix(error.span, format!("\\{}", error.text))
    }
}

impl From<SingleQuotedString> for Diagnostic {
    fn from(error: SingleQuotedString) -> Self {
        error
            .start("strings are written with double quotes")
            .primary(error.span, "single quotes are no longer part of the language")
            .help(format!("write `{}`", shorten(&error.replacement)))
            .fix(error.span, error.replacement)
    }
}

impl From<OldRawString> for Diagnostic {
    fn from(error: OldRawString) -> Self {
        error
            .start("raw strings are written with three double quotes")
            .primary(error.span, "`?\"..\"` is no longer part of the language")
            .help(format!("write `{}`", shorten(&error.replacement)))
            .fix(error.span, error.replacement)
    }
}

impl From<TypographicQuotes> for Diagnostic {
    fn from(error: TypographicQuotes) -> Self {
        error
            .start("strings are written with plain double quotes")
            .primary(error.span, "typographic quotes, perhaps from a document")
            .help(format!("write `{}`", shorten(&error.replacement)))
            .fix(error.span, error.replacement)
    }
}

impl From<MalformedNumber> for Diagnostic {
    fn from(error: MalformedNumber) -> Self {
        let start = error.start(format!("malformed number `{}`", shorten(&error.text)));
        let diagnostic = start.primary(error.span, error.reason);
        match error.value {
            Some(value) => diagnostic.help(format!("write `{value}`")).fix(error.span, value),
            None => diagnostic,
        }
    }
}

impl From<MalformedQuotedName> for Diagnostic {
    fn from(error: MalformedQuotedName) -> Self {
        error
            .start("malformed quoted name")
            .primary(error.span, error.reason)
            .help("a quoted name is written between two backticks on one line; a doubled backtick stands for one")
    }
}

impl From<MisplacedFold> for Diagnostic {
    fn from(error: MisplacedFold) -> Self {
        error
            .start(format!("`{}` has no case-insensitive form", error.name))
            .primary(error.span, "`~` is not allowed here")
            .note(format!("`~` goes with {}", error.allowed))
            .help("leave out the `~`")
            .fix(error.span, "")
    }
}

impl From<UnexpectedToken> for Diagnostic {
    fn from(error: UnexpectedToken) -> Self {
        let message = format!("expected {}, found {}", error.expected, error.found);
        let mut diagnostic = error.start(message).primary(error.span, format!("expected {}", error.expected));
        diagnostic.help = error.help;
        match error.fix {
            Some((span, replacement)) => diagnostic.fix(span, replacement),
            None => diagnostic,
        }
    }
}

impl From<UnclosedBracket> for Diagnostic {
    fn from(error: UnclosedBracket) -> Self {
        let at = Span::new(error.at, error.at);
        error
            .start(format!("unclosed `{}`", error.open))
            .primary(error.span, "opened here")
            .secondary(at, format!("expected `{}` here at the latest", error.close))
            .help(format!("close it with `{}`", error.close))
            .fix(at, error.close)
    }
}

impl From<UnmatchedClose> for Diagnostic {
    fn from(error: UnmatchedClose) -> Self {
        error
            .start(format!("unmatched `{}`", error.close))
            .primary(error.span, "nothing was opened that this closes")
            .help("remove it")
            .fix(error.span, "")
    }
}

impl From<MissingWhere> for Diagnostic {
    fn from(error: MissingWhere) -> Self {
        let end = Span::new(error.span.end, error.span.end);
        error
            .start(format!("expected `where` after the event category `{}`", error.category))
            .primary(error.span, "expected `where` after this")
            .note("a filter is written `category where condition`; `where true` takes every event of the category")
            .help(format!("insert `{}`", error.insertion.trim()))
            .fix(end, error.insertion)
    }
}

impl From<MissingCategory> for Diagnostic {
    fn from(error: MissingCategory) -> Self {
        let at = Span::new(error.span.start, error.span.start);
        error
            .start("expected an event category, found a condition")
            .primary(error.span, "expected `process`, `file`, `network`, ... or `any`")
            .note("a filter is written `category where condition`; `any` takes every category")
            .help(format!("insert `{}`", error.insertion.trim()))
            .fix(at, error.insertion)
    }
}

impl From<SingleEquals> for Diagnostic {
    fn from(error: SingleEquals) -> Self {
        error
            .start("`=` does not compare")
            .primary(error.span, "expected `==`, found `=`")
            .help("compare with `==`, or with `:` to ignore case and to use wildcards")
            .fix(error.span, "==")
    }
}

impl From<ForeignOperator> for Diagnostic {
    fn from(error: ForeignOperator) -> Self {
        let replacement = error.replacement.trim().to_string();
        let diagnostic = error
            .start(format!("`{}` is not an operator of EQL", error.text))
            .primary(error.span, format!("expected `{replacement}`, found `{}`", error.text))
            .help(format!("write `{replacement}`"));
        if error.sure { diagnostic.fix(error.span, error.replacement) } else { diagnostic }
    }
}

impl From<UpperCaseKeyword> for Diagnostic {
    fn from(error: UpperCaseKeyword) -> Self {
        error
            .start(format!("keywords are written in lower case, found `{}`", error.text))
            .primary(error.span, format!("expected `{}`", error.keyword))
            .help(format!("write `{}`; a field of this name is written in backticks", error.keyword))
            .fix(error.span, error.keyword)
    }
}

impl From<KeywordAsName> for Diagnostic {
    fn from(error: KeywordAsName) -> Self {
        error
            .start(format!("`{}` is a keyword and cannot name a field as it stands", error.keyword))
            .primary(error.span, "expected a name, found a keyword")
            .help("put it in backticks")
            .fix(error.span, format!("`{}`", error.keyword))
    }
}

impl From<ChainedComparison> for Diagnostic {
    fn from(error: ChainedComparison) -> Self {
        error
            .start("comparisons cannot be chained")
            .primary(error.span, "the second comparison")
            .secondary(error.first, "the first comparison")
            .help("join two comparisons with `and`, as in `1 < x and x < 5`")
    }
}

impl From<NotBeforeMatch> for Diagnostic {
    fn from(error: NotBeforeMatch) -> Self {
        let diagnostic = error
            .start(format!("`not` cannot stand before `{}`", error.operator))
            .primary(error.not_span, "expected an operator, found `not`")
            .note("only `in` and `in~` have a form with `not`")
            .help(format!("write `not {} {} ..`", shorten(&error.subject), error.operator));
        match error.fix {
            Some((span, replacement)) => diagnostic.fix(span, replacement),
            None => diagnostic,
        }
    }
}

impl From<PatternNotConstant> for Diagnostic {
    fn from(error: PatternNotConstant) -> Self {
        let diagnostic = error
            .start(format!("expected a constant behind `{}`, found {}", error.operator, error.found))
            .primary(error.span, "not a constant")
            .help("write the pattern as a string, or compare two values with `==`");
        match error.fix {
            Some((span, replacement)) => diagnostic.fix(span, replacement),
            None => diagnostic,
        }
    }
}

impl From<EmptyList> for Diagnostic {
    fn from(error: EmptyList) -> Self {
        error
            .start(format!("the list behind `{}` is empty", error.operator))
            .primary(error.span, "expected at least one value")
            .help("an empty list matches nothing; write `false` if that is meant")
    }
}

impl From<WrongOrder> for Diagnostic {
    fn from(error: WrongOrder) -> Self {
        let diagnostic = error
            .start(format!("`{}` comes before `{}`", error.part, error.before))
            .primary(error.span, format!("expected before `{}`", error.before))
            .help(format!("move it before `{}`", error.before));
        match error.fix {
            Some((span, replacement)) => diagnostic.fix(span, replacement),
            None => diagnostic,
        }
    }
}

const UNITS: &str = "the units are `ms`, `s`, `m`, `h` and `d`";

impl From<DurationWithoutUnit> for Diagnostic {
    fn from(error: DurationWithoutUnit) -> Self {
        error
            .start(format!("the duration `{}` has no unit", error.number))
            .primary(error.span, "expected a number and a unit, found a number")
            .note(UNITS)
            .help(format!("say which unit, as in `{}s`", error.number))
    }
}

impl From<DurationNotPositive> for Diagnostic {
    fn from(error: DurationNotPositive) -> Self {
        error
            .start("a duration must be positive")
            .primary(error.span, "expected more than zero")
            .help("leave out `maxspan` for no limit, or give the longest time between the first and the last event")
    }
}

impl From<DecimalDuration> for Diagnostic {
    fn from(error: DecimalDuration) -> Self {
        let diagnostic = error
            .start(format!("the duration `{}` is not a whole number", error.text))
            .primary(error.span, "expected a whole number, found a decimal");
        match error.whole {
            Some(whole) => diagnostic.help(format!("write `{whole}`")).fix(error.span, whole),
            None => diagnostic.help("use a smaller unit"),
        }
    }
}

impl From<UnknownUnit> for Diagnostic {
    fn from(error: UnknownUnit) -> Self {
        let diagnostic = error
            .start(format!("unknown unit `{}` of a duration", error.unit))
            .primary(error.span, "expected one of `ms`, `s`, `m`, `h`, `d`");
        match error.nearest {
            Some(unit) => {
                let whole = format!("{}{unit}", error.number);
                diagnostic.help(format!("write `{whole}`")).fix(error.span, whole)
            }
            None => diagnostic.help(UNITS),
        }
    }
}

impl From<MalformedDuration> for Diagnostic {
    fn from(error: MalformedDuration) -> Self {
        let diagnostic = error.start("malformed duration").primary(error.span, error.reason);
        match error.fix {
            Some(fix) => diagnostic.help(format!("write `{fix}`")).fix(error.span, fix),
            None => diagnostic.help("a duration is a whole number and a unit, as in `maxspan=5m`"),
        }
    }
}

impl From<RunsOutOfRange> for Diagnostic {
    fn from(error: RunsOutOfRange) -> Self {
        error
            .start(format!("`runs` takes a whole number from 1 to 100, found `{}`", shorten(&error.text)))
            .primary(error.span, "expected 1 to 100")
            .help("a term that repeats more often is better counted by a `maxspan` and fewer runs")
    }
}

impl From<TooFewTerms> for Diagnostic {
    fn from(error: TooFewTerms) -> Self {
        let what = if error.found == 0 { "none".to_string() } else { error.found.to_string() };
        let diagnostic = error
            .start(format!("a {} needs two terms, found {what}", error.form))
            .primary(error.span, "expected a second `[category where condition]`");
        match error.single {
            Some(_) if error.form == "sequence" => {
                diagnostic.help("add a term, or write the filter alone, or ask for repetition: `[..] with runs=2`")
            }
            _ => diagnostic,
        }
    }
}

impl From<NoPositiveTerm> for Diagnostic {
    fn from(error: NoPositiveTerm) -> Self {
        error
            .start("a sequence needs a term for an event that does happen")
            .primary(error.span, "every term is a missing event")
            .help("turn one of the `![..]` into `[..]`")
    }
}

impl From<FilterWithoutBrackets> for Diagnostic {
    fn from(error: FilterWithoutBrackets) -> Self {
        let replacement = format!("[{}]", error.text);
        error
            .start("expected `[`, found an event category")
            .primary(error.span, "this filter wants brackets")
            .help(format!("write `{}`", shorten(&replacement)))
            .fix(error.span, replacement)
    }
}

impl From<MissingEventWithoutMaxspan> for Diagnostic {
    fn from(error: MissingEventWithoutMaxspan) -> Self {
        error
            .start("a missing event needs `maxspan`")
            .primary(error.span, "how long must this event be absent?")
            .help("add `with maxspan=..` behind `sequence` and its `by`")
    }
}

impl From<OtherDialect> for Diagnostic {
    fn from(error: OtherDialect) -> Self {
        let mut diagnostic = error
            .start(format!("{} not in the dialect `{}`, but in `{}`", error.what, error.dialect, error.has))
            .primary(error.span, format!("only in `{}`", error.has));
        let choose = format!("choose the dialect with `--dialect {0}` or `dialect = \"{0}\"`", error.has);
        diagnostic.help = Some(error.help.unwrap_or(choose));
        diagnostic
    }
}

impl From<ArrayIndex> for Diagnostic {
    fn from(error: ArrayIndex) -> Self {
        error
            .start(format!("`{}` cannot be indexed", error.field))
            .primary(error.span, "expected an operator, found an index")
            .note("a field may hold many values, in no order; a test holds if any of the values passes it")
            .help("leave out the index")
            .fix(error.span, "")
    }
}

impl From<UnknownPipe> for Diagnostic {
    fn from(error: UnknownPipe) -> Self {
        let diagnostic =
            error.start(format!("unknown pipe `{}`", error.name)).primary(error.span, "expected `head` or `tail`");
        match error.nearest {
            Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")).fix(error.span, nearest),
            None => diagnostic,
        }
    }
}

impl From<WrongPipeArgument> for Diagnostic {
    fn from(error: WrongPipeArgument) -> Self {
        error
            .start(format!("`{}` takes {}", error.pipe, error.expected))
            .primary(error.span, format!("expected {}", error.expected))
    }
}

impl From<KeyCountDiffers> for Diagnostic {
    fn from(error: KeyCountDiffers) -> Self {
        let keys = |count: usize| if count == 1 { "1 key".to_string() } else { format!("{count} keys") };
        error
            .start(format!("terms join by the same number of keys: expected {}, found {}", error.expected, error.found))
            .primary(error.span, keys(error.found))
            .secondary(error.first, keys(error.expected))
            .help("give every term, and `until`, as many keys as the first; a key that all share goes behind `sequence by`")
    }
}

impl From<SampleWithoutKeys> for Diagnostic {
    fn from(error: SampleWithoutKeys) -> Self {
        error
            .start("a sample needs a key")
            .primary(error.span, "expected `by`")
            .help("say what the events have in common: `sample by host.id`")
    }
}

impl From<PartNotAllowed> for Diagnostic {
    fn from(error: PartNotAllowed) -> Self {
        error
            .start(format!("{} cannot be used in {}", error.part, error.place))
            .primary(error.span, "not allowed here")
            .help("remove it")
    }
}

impl From<EmptyQuery> for Diagnostic {
    fn from(error: EmptyQuery) -> Self {
        error
            .start("the query is empty")
            .primary(error.span, "expected a query")
            .help("the shortest query is `any where true`")
    }
}

impl From<PartTwice> for Diagnostic {
    fn from(error: PartTwice) -> Self {
        error
            .start(format!("`{}` is written twice", error.part))
            .primary(error.span, "the second")
            .secondary(error.first, "the first")
            .help("keep one of them")
    }
}

/// Long user text would push the rest of the message off the screen.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or("")),
        None => text.to_string(),
    }
}
