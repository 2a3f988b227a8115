//! How a lint is silenced: `// eqlc: allow W0503` somewhere in the query, or `allow = ["W0503"]` in the front matter.
//!
//! In: comments, codes. Out: the diagnostics that are left. Errors cannot be silenced.

use crate::diagnostics::{Diagnostic, Severity};
use crate::syntax::Comment;

/// What a comment starts with, behind its marker.
const MARK: &str = "eqlc: allow";

/// The codes that the comments of a query allow, for the whole of it: a comment may move when the query is formatted.
pub fn allowed_in(source: &str, comments: &[Comment]) -> Vec<String> {
    let codes = comments.iter().filter_map(|comment| {
        let text = comment.span.text(source).trim_start_matches(['/', '*']).trim_end_matches(['/', '*']).trim();
        text.strip_prefix(MARK)
    });
    let words = codes.flat_map(|codes| codes.split([' ', ',', '\t']));
    words.map(str::trim).filter(|code| code.starts_with('W')).map(str::to_owned).collect()
}

/// Takes out the warnings whose codes are allowed.
pub fn keep(diagnostics: &mut Vec<Diagnostic>, allowed: &[String]) {
    diagnostics.retain(|found| found.severity == Severity::Error || !allowed.iter().any(|code| code == found.code));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::tokens;

    #[test]
    fn comments_name_codes() {
        for (source, expected) in [
            ("any where true // eqlc: allow W0503", vec!["W0503"]),
            ("/* eqlc: allow W0503, W0510 */ any where true", vec!["W0503", "W0510"]),
            ("any where true // eqlc: allow E0101 nothing", vec![]),
            ("any where true // allow W0503", vec![]),
        ] {
            assert_eq!(allowed_in(source, &tokens(source).1), expected, "{source}");
        }
    }
}
