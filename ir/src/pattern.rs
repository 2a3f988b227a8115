//! Wildcard patterns: `*` is any run of characters (newlines too), `?` is exactly one; there is no escape.

/// Whether a pattern holds a wildcard; without one it is an exact string.
pub fn has_wildcard(pattern: &str) -> bool {
    pattern.bytes().any(|byte| byte == b'*' || byte == b'?')
}

/// Where a literal stands in each text that its pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anchor {
    /// At the start.
    Start,
    /// Somewhere.
    Anywhere,
    /// At the end.
    End,
}

/// A text that stands in each text that a wildcard pattern matches: its longest part without wildcards. `None` when that
/// is too short to be worth looking for.
pub fn required_literal(pattern: &str) -> Option<(Anchor, &str)> {
    let parts: Vec<&str> = pattern.split(['*', '?']).collect();
    let (place, literal) = parts.iter().enumerate().max_by_key(|(_, part)| part.len())?;
    let anchor = anchor_of(place, parts.len());
    is_worth_looking_for(anchor, literal).then_some((anchor, *literal))
}

/// Where part number `place` of `count` parts stands.
pub(crate) fn anchor_of(place: usize, count: usize) -> Anchor {
    match place {
        0 => Anchor::Start,
        _ if place + 1 == count => Anchor::End,
        _ => Anchor::Anywhere,
    }
}

/// One character is enough where it stands at an end.
pub(crate) fn is_worth_looking_for(anchor: Anchor, literal: &str) -> bool {
    literal.len() >= if anchor == Anchor::Anywhere { 2 } else { 1 }
}

/// Whether `pattern` matches the whole of `text`, character by character. Case is the caller's concern: to ignore it,
/// fold both sides.
///
/// Takes at most `pattern.len() * text.len()` steps, on the heap nothing: on a mismatch it goes back to the latest `*`
/// alone, which is enough because an earlier one could only have eaten more.
pub fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let (mut pattern_rest, mut text_rest) = (pattern.chars(), text.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut next_pattern = pattern_rest.clone();
        match next_pattern.next() {
            Some('*') => {
                retry = Some((next_pattern.clone(), text_rest.clone()));
                pattern_rest = next_pattern;
                continue;
            }
            Some(wanted) => {
                let mut next_text = text_rest.clone();
                if let Some(found) = next_text.next()
                    && (wanted == '?' || wanted == found)
                {
                    pattern_rest = next_pattern;
                    text_rest = next_text;
                    continue;
                }
            }
            None if text_rest.as_str().is_empty() => return true,
            None => {}
        }
        let Some((after_star, mut eaten)) = retry.take() else { return false };
        if eaten.next().is_none() {
            return false;
        }
        pattern_rest = after_star.clone();
        text_rest = eaten.clone();
        retry = Some((after_star, eaten));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_values() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a\nb", true),
            ("?", "", false),
            ("?", "ü", true),
            ("?", "ab", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("*.sh", "x.sh.sh", true),
            ("a*b*c", "a-b-b-c", true),
            ("a?*", "a", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("/tmp/*/x", "/tmp//x", true),
            ("A", "a", false),
        ] {
            assert_eq!(wildcard_matches(pattern, text), expected, "{pattern} over {text}");
        }
    }
}
