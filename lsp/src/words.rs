//! What the words of the language mean, in a sentence or two.
//!
//! In: a keyword, a symbol, the name of a function, a pipe or a relation. Out: what the hover and the completion show. The
//! compiler lists the words; a test says when one of them has no meaning here. `docs/` has the full language.

use eqlc::syntax::token::{Keyword, Symbol};

/// What a keyword means, and an example of it.
pub(crate) fn keyword(word: Keyword) -> (&'static str, &'static str) {
    use Keyword as K;
    match word {
        K::And => ("Both conditions hold. Binds tighter than `or`.", "a == 1 and b == 2"),
        K::Or => ("At least one of the conditions holds. Binds weaker than `and`.", "a == 1 or b == 2"),
        K::Not => (
            "The condition does not hold. A test of a missing field is false, so its `not` is true.",
            "not process.name == \"bash\"",
        ),
        K::Any => ("Events of every category.", "any where source.ip != null"),
        K::Where => ("Between the event category and the condition.", "process where process.name == \"bash\""),
        K::By => (
            "The join keys: only events with equal values belong together. Each term has the same number of keys. \
             An event without a key does not take part, unless the key is written `?key`.",
            "sequence by host.id, process.pid",
        ),
        K::With => ("Introduces `maxspan=` behind `sequence`, or `runs=` behind a term.", "sequence with maxspan=5m"),
        K::Maxspan => (
            "The longest time from the first to the last event of a sequence; units `ms s m h d`.",
            "sequence by host.id with maxspan=1m",
        ),
        K::Runs => ("The term must match this many times in a row, 1 to 100.", "[process where true] with runs=3"),
        K::Until => (
            "An event that ends an open sequence: no event at or after it can complete what was open before.",
            "until [process where event.type == \"end\"]",
        ),
        K::Sequence => (
            "Events in order, joined by their keys. For each key and step the newest partial match is kept.",
            "sequence by process.entity_id [process where true] [network where true]",
        ),
        K::Sample => (
            "Events in any order, one for each filter, joined by their keys.",
            "sample by host.id [process where true] [network where true]",
        ),
        K::Join => ("The classic form of unordered joins. Only the `classic` dialect reads it.", "join [..] [..]"),
        K::In => ("Equal to one of the constants; case counts, no wildcards.", "process.name in (\"bash\", \"sh\")"),
        K::InFold => ("Equal to one of the constants; case does not count.", "process.name in~ (\"bash\", \"sh\")"),
        K::Like => (
            "Matches a pattern, or one of several; case counts. `*` is any run of characters, `?` exactly one; the \
             whole value must match.",
            "process.command_line like \"*curl*\"",
        ),
        K::LikeFold => ("As `like`, but case does not count.", "process.command_line like~ \"*CURL*\""),
        K::Regex => (
            "Matches a regular expression (Lucene's), or one of several; case counts. The whole value must match: `^` \
             and `$` are ordinary characters.",
            "process.name regex \"(ba|z)?sh\"",
        ),
        K::RegexFold => ("As `regex`, but case does not count.", "process.name regex~ \"(ba|z)?sh\""),
        K::Null => ("No value. `f == null` tests that a field is missing, `f != null` that it is there.", "f != null"),
        K::True => ("The constant true.", "process where true"),
        K::False => ("The constant false.", "f == false"),
        K::Of => {
            ("Behind `child`, `descendant` or `event`: the relation to a process.", "child of [process where true]")
        }
    }
}

/// What a symbol means; `None` for brackets and commas that speak for themselves.
pub(crate) fn symbol(symbol: Symbol) -> Option<&'static str> {
    use Symbol as S;
    Some(match symbol {
        S::Equal => "Equal. Case counts, `*` is an ordinary character. `f == null` tests that a field is missing.",
        S::NotEqual => "Not equal: no value of the field is equal. True if the field is missing.",
        S::Less => "Less; strings by code point.",
        S::LessEqual => "Less or equal; strings by code point.",
        S::Greater => "Greater; strings by code point.",
        S::GreaterEqual => "Greater or equal; strings by code point.",
        S::Colon => {
            "Matches a pattern, or one of several; case does not count. `*` is any run of characters, `?` exactly one; \
             the whole value must match."
        }
        S::Assign => "Sets `maxspan=` and `runs=`. Equality is `==`.",
        S::Plus => "The sum of two numbers. Overflow gives null.",
        S::Minus => "The difference of two numbers, or the sign of one. Overflow gives null.",
        S::Star => "The product of two numbers. Overflow gives null.",
        S::Slash => "The quotient of two numbers; of integers, without the fraction. Division by zero gives null.",
        S::Percent => "The remainder, with the sign of the left side. Division by zero gives null.",
        S::Question => "The field may be unknown to the schema (it is null then); as a key, it may be missing.",
        S::OpenMissing => "A missing event: between its neighbours, no event may match this. Needs `maxspan`.",
        S::Bar => "Hands the results to a pipe, such as `head` or `tail`.",
        S::OpenParen | S::CloseParen | S::OpenBracket | S::CloseBracket | S::Comma | S::Dot => return None,
    })
}

/// What a function gives; its name in lower case.
pub(crate) fn function(name: &str) -> Option<&'static str> {
    Some(match name {
        "add" => "The sum, as `+`.",
        "subtract" => "The difference, as `-`.",
        "multiply" => "The product, as `*`.",
        "divide" => "The quotient, as `/`.",
        "modulo" => "The remainder, as `%`.",
        "between" => {
            "The text between `left` and `right`; an empty text if they are not found. `greedy` takes the last `right` \
             instead of the first. `between~` ignores case."
        }
        "cidrmatch" => "Whether an address lies in one of the blocks, such as `10.0.0.0/8` or `fe80::/10`.",
        "concat" => "The texts of all values, one behind the other; null if one of them is null.",
        "endswith" => "Whether a text ends with another. `endsWith~` ignores case.",
        "startswith" => "Whether a text starts with another. `startsWith~` ignores case.",
        "stringcontains" => "Whether a text contains another; false for an empty one. `stringContains~` ignores case.",
        "indexof" => "Where a text first contains another, from 0; null if nowhere. `indexOf~` ignores case.",
        "length" => "The length of a text in UTF-16 units.",
        "number" => "The number that a text stands for, `0x` meaning base 16; null if it is none.",
        "string" => "The text of a value.",
        "substring" => "The part of a text from `start` up to `end`; negative positions count from the end.",
        "arraycontains" => "Whether an array holds one of the values.",
        "arraycount" => "How many values an array holds.",
        "arraysearch" | "_arraysearch" => "Whether the condition holds for one element, which it calls `$name`.",
        "match" => "Whether a text matches one of the regular expressions; case does not count.",
        "wildcard" => "Whether a text matches one of the patterns with `*` and `?`; case does not count.",
        _ => return None,
    })
}

/// What a pipe does.
pub(crate) fn pipe(name: &str) -> Option<&'static str> {
    Some(match name {
        "head" => "The first results: `| head 10`.",
        "tail" => "The last results: `| tail 10`. Over a file; a live engine knows no last result.",
        "count" => "How many results there are. Only in the `classic` dialect.",
        "filter" => "The results that pass a condition. Only in the `classic` dialect.",
        "sort" => "The results by the values of fields. Only in the `classic` dialect.",
        "unique" => "The first result for each value. Only in the `classic` dialect.",
        "unique_count" => "The first result for each value, with how many there were. Only in the `classic` dialect.",
        _ => return None,
    })
}

/// What a relation of lineage means.
pub(crate) fn relation(name: &str) -> Option<&'static str> {
    Some(match name {
        "child" => "The event's process is a child of a process that had a matching event.",
        "descendant" => "Some ancestor of the event's process had a matching event.",
        "event" => "The event's own process had a matching event.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use eqlc::syntax::{PIPES, Relation};

    #[test]
    fn every_word_of_the_compiler_has_a_meaning() {
        for name in eqlc::types::functions::names() {
            assert!(function(&name.to_lowercase()).is_some(), "function {name}");
        }
        for name in PIPES {
            assert!(pipe(name).is_some(), "pipe {name}");
        }
        for name in [Relation::Child, Relation::Descendant, Relation::Event].map(Relation::text) {
            assert!(relation(name).is_some(), "relation {name}");
        }
        assert!(Keyword::ALL.iter().all(|word| !keyword(*word).0.is_empty()));
    }
}
