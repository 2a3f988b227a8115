//! Case folding: Unicode simple folding (CaseFolding.txt, statuses C and S), one character to one.

use std::borrow::Cow;

use bumpalo::Bump;
use bumpalo::collections::String as ScratchString;

/// The folded form of one character.
pub fn fold_char(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    unicode_case_mapping::case_folded(character).and_then(|folded| char::from_u32(folded.get())).unwrap_or(character)
}

/// The folded form of a text, borrowed when it is folded already.
pub fn fold(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    Cow::Owned(folded)
}

/// The folded form of a text: the text itself when it is folded already, else made in `arena`.
pub fn fold_in<'t>(text: &'t str, arena: &'t Bump) -> &'t str {
    if is_folded(text) {
        return text;
    }
    ScratchString::from_iter_in(text.chars().map(fold_char), arena).into_bump_str()
}

fn is_folded(text: &str) -> bool {
    match text.is_ascii() {
        true => !text.bytes().any(|byte| byte.is_ascii_uppercase()),
        false => text.chars().all(|character| fold_char(character) == character),
    }
}

/// Appends the folded form of `text` to `out`, for callers that keep their memory.
pub fn fold_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_lowercase();
    } else {
        out.extend(text.chars().map(fold_char));
    }
}

/// The folded form of `text`: the text itself when it is plainly folded already, which most are, else made in `memory`.
#[inline]
pub fn fold_with<'t>(text: &'t str, memory: &'t mut String) -> &'t str {
    // Without a way out, so that it is looked at many bytes at a time.
    let other = text.bytes().fold(false, |other, byte| other | !byte.is_ascii() | byte.is_ascii_uppercase());
    if !other {
        return text;
    }
    memory.clear();
    fold_into(text, memory);
    memory
}

/// Whether two texts are equal when folded.
pub fn equal_folded(left: &str, right: &str) -> bool {
    left.chars().map(fold_char).eq(right.chars().map(fold_char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_simple_and_the_fast_path_agrees() {
        for (text, folded) in [
            ("", ""),
            ("CMD.exe", "cmd.exe"),
            ("ÄÖÜ", "äöü"),
            ("ΣΑΣ", "σασ"),
            ("ς", "σ"),
            ("\u{212a}elvin", "kelvin"),
            ("ſ", "s"),
            ("ß", "ß"),
            ("İ", "İ"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
            let mut out = String::new();
            fold_into(text, &mut out);
            assert_eq!(out, folded, "{text}");
            assert!(equal_folded(text, folded), "{text}");
            assert_eq!(fold_with(text, &mut out), folded, "{text}");
            assert_eq!(fold(folded), folded, "folding is idempotent");
        }
    }
}
