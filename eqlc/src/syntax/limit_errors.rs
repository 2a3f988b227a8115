//! The codes E04xx: limits that keep hostile or generated input from costing too much.

use crate::diagnostics::{Diagnostic, declare};

declare! { Error;
    /// The text of a query is too long.
    "E0401" "query too large" SourceTooLarge { size: usize, limit: usize }
    /// Brackets, signs and `not`s nest too deep.
    "E0402" "nesting too deep" NestingTooDeep { limit: usize }
    /// A list has too many elements.
    "E0403" "list too long" ListTooLong { limit: usize }
    /// So many mistakes that the rest is left out.
    "E0404" "too many errors" TooManyErrors { limit: usize }
}

impl From<SourceTooLarge> for Diagnostic {
    fn from(error: SourceTooLarge) -> Self {
        error
            .start(format!("query too large: {} bytes, at most {} are read", error.size, error.limit))
            .primary(error.span, "starts here")
            .help("split the query, or move long lists into several rules")
    }
}

impl From<NestingTooDeep> for Diagnostic {
    fn from(error: NestingTooDeep) -> Self {
        error
            .start(format!("nesting too deep, at most {} levels are read", error.limit))
            .primary(error.span, "one level too many")
            .note("parentheses, brackets, `not`, signs and the operators of a long sum each count as a level")
            .help("write `or` and `and` in one row without parentheses, and values as a list: `x in (..)`")
    }
}

impl From<ListTooLong> for Diagnostic {
    fn from(error: ListTooLong) -> Self {
        error
            .start(format!("list too long, at most {} elements are read", error.limit))
            .primary(error.span, "one element too many")
            .help("split the list: `x in (..) or x in (..)`")
    }
}

impl From<TooManyErrors> for Diagnostic {
    fn from(error: TooManyErrors) -> Self {
        error
            .start(format!("too many errors, only the first {} are shown", error.limit))
            .primary(error.span, "no more is reported from here on")
    }
}
