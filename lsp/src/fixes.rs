//! Quick fixes: the changes that the compiler proposes, at a place or all at once.
//!
//! In: an analysis and a range of the file. Out: [`QuickFix`]es. Nothing is changed here; the editor does that.

use eqlc::diagnostics::Fix;
use eqlc::syntax::Span;

use crate::analysis::{Analysis, Finding};

/// A change to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuickFix<'a> {
    /// What it does, for people.
    pub title: String,
    /// What it mends.
    pub finding: &'a Finding,
    /// The change.
    pub fix: &'a Fix,
}

/// The fixes of what is wrong in the range; a cursor is an empty range and touches its neighbours.
pub fn quick_fixes<'a>(analysis: &'a Analysis, text: &str, range: Span) -> Vec<QuickFix<'a>> {
    let near = |finding: &&Finding| finding.span.start <= range.end && range.start <= finding.span.end;
    let offer =
        |finding: &'a Finding| finding.fix.as_ref().map(|fix| QuickFix { title: title(fix, text), finding, fix });
    analysis.findings.iter().filter(near).filter_map(offer).collect()
}

/// All fixes of the file that do not get in each other's way, in the order of the text.
pub fn all_fixes(analysis: &Analysis) -> Vec<&Fix> {
    let mut fixes: Vec<&Fix> = analysis.findings.iter().filter_map(|finding| finding.fix.as_ref()).collect();
    fixes.sort_by_key(|fix| fix.span);
    fixes.dedup();
    let mut free_from = 0;
    let mut last_start = None;
    fixes.retain(|fix| {
        let fits = fix.span.start >= free_from && last_start != Some(fix.span.start);
        if fits {
            free_from = fix.span.end;
            last_start = Some(fix.span.start);
        }
        fits
    });
    fixes
}

fn title(fix: &Fix, text: &str) -> String {
    let (old, new) = (shortened(fix.span.text(text)), shortened(&fix.replacement));
    match (old.is_empty(), new.is_empty()) {
        (true, _) => format!("insert `{new}`"),
        (false, true) => format!("remove `{old}`"),
        (false, false) => format!("replace `{old}` by `{new}`"),
    }
}

fn shortened(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::FileKind;
    use crate::settings::Settings;

    #[test]
    fn all_fixes_together_mend_the_rule() {
        let mut text = "process where process.nmae = 'bash' and process.pdi == 5".to_owned();
        // A second round mends what could be seen only after the first.
        for _ in 0..2 {
            let analysis = Analysis::new("a.eql", FileKind::Eql, &text, &Settings::default());
            let fixes: Vec<Fix> = all_fixes(&analysis).into_iter().cloned().collect();
            for fix in fixes.iter().rev() {
                text.replace_range(fix.span.range(), &fix.replacement);
            }
        }
        assert_eq!(text, "process where process.name == \"bash\" and process.pid == 5");
    }

    #[test]
    fn titles_say_what_happens() {
        let fix = |start, end, replacement: &str| Fix { span: Span::new(start, end), replacement: replacement.into() };
        assert_eq!(title(&fix(0, 1, "=="), "="), "replace `=` by `==`");
        assert_eq!(title(&fix(0, 0, ")"), "="), "insert `)`");
        assert_eq!(title(&fix(0, 1, ""), "="), "remove `=`");
        assert_eq!(title(&fix(0, 99, &"é".repeat(50)), "="), format!("insert `{}…`", "é".repeat(40)));
    }
}
