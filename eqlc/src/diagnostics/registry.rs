//! All codes of the compiler, with titles and pages.
//!
//! In: the `CODES` table of each module that declares some. Out: [`codes`] and [`explain`]. A module with codes of its own
//! adds its table to `TABLES`.

/// A code, its title and its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeInfo {
    /// `E0101`
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// The page `docs/errors/E0101.md`: what, why, example, fix.
    pub page: &'static str,
}

const TABLES: &[&[CodeInfo]] = &[
    crate::syntax::errors::CODES,
    crate::syntax::limit_errors::CODES,
    crate::rules::errors::CODES,
    crate::types::errors::CODES,
    crate::types::limit_errors::CODES,
    crate::types::warnings::CODES,
    crate::lints::warnings::CODES,
];

/// Every code, in order.
///
/// ```
/// assert!(eqlc::diagnostics::codes().iter().any(|code| code.code == "E0101"));
/// ```
pub fn codes() -> Vec<CodeInfo> {
    let mut all: Vec<CodeInfo> = TABLES.iter().flat_map(|table| table.iter().copied()).collect();
    all.sort_by_key(|info| info.code);
    all
}

/// The page of a code, whatever its case.
///
/// ```
/// assert!(eqlc::diagnostics::explain("e0101").is_some());
/// assert!(eqlc::diagnostics::explain("E9999").is_none());
/// ```
pub fn explain(code: &str) -> Option<&'static str> {
    TABLES.iter().flat_map(|table| table.iter()).find(|info| info.code.eq_ignore_ascii_case(code)).map(|info| info.page)
}
