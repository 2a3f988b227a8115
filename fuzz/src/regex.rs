//! Regular expressions: compiling and matching end, and laws of the operators hold.

use kestrel_ir::regex::compile;

/// `data` is a byte whose lowest bit asks to ignore case, a pattern, and behind the last newline a text.
///
/// The laws lead through different engines: what stands alone is matched by an ordinary engine, what stands inside of a
/// concatenation with `&` or `~` by a derived automaton.
pub fn matching(data: &[u8]) {
    let Some((&flags, rest)) = data.split_first() else { return };
    let Ok(rest) = std::str::from_utf8(rest) else { return };
    let (pattern, text) = rest.rsplit_once('\n').unwrap_or((rest, ""));
    let fold = flags & 1 == 1;
    let regex = match compile(pattern, fold) {
        Ok(regex) => regex,
        Err(error) => {
            assert!(pattern.get(error.offset..).is_some(), "{error} at {}", error.offset);
            return;
        }
    };
    let expected = regex.is_match(text);
    for (pattern, text, law) in [
        (format!("~({pattern})"), text.to_owned(), !expected),
        (format!("({pattern})&@"), text.to_owned(), expected),
        (format!("x(({pattern})&@)<007-009>"), format!("x{text}007"), expected),
        (format!("#|~(~({pattern}))"), text.to_owned(), expected),
        (format!("x~({pattern})y"), format!("x{text}y"), !expected),
    ] {
        // The longer pattern may be beyond a limit.
        if let Ok(regex) = compile(&pattern, fold) {
            assert_eq!(regex.is_match(&text), law, "{pattern:?} over {text:?}");
        }
    }
}
