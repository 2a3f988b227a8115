//! What patterns match, what is refused, and random patterns against a matcher that is slow and plain.

mod naive;

use super::*;

#[test]
fn expressions_match_whole_values() {
    for (pattern, fold, text, expected) in [
        ("", false, "", true),
        ("", false, "a", false),
        ("abc", false, "abc", true),
        ("abc", false, "xabc", false),
        ("ABC", true, "abc", true),
        (".*b", false, "a\nb", true),
        ("a|b", false, "b", true),
        ("a|", false, "", true),
        ("(ab)+", false, "abab", true),
        ("a{2,3}", false, "aaaa", false),
        ("a{2,}", false, "aaaa", true),
        ("[a-c]+", false, "abc", true),
        ("[^a-c]", false, "d", true),
        ("[^a-c]", true, "B", false),
        ("[-a]", false, "-", true),
        ("[a-]", false, "-", true),
        ("[.]", false, "x", false),
        (r"\d+\.\d", false, "12.5", true),
        (r"[\w.]+", false, "a_b.c", true),
        (r"\S+", false, "a b", false),
        ("^a$", false, "^a$", true),
        ("^a$", false, "a", false),
        ("\"a.b\"c", false, "a.bc", true),
        ("\"a.b\"c", false, "axbc", false),
        ("a@", false, "axyz", true),
        ("a#", false, "a", false),
        ("a.*?", false, "abc", true),
        ("ß", true, "ẞ", true),
        (r#"[~&<]\~\&\<>"~&<""#, false, "&~&<>~&<", true),
        // Complement, as the guide of the reference implementation has it.
        ("a~bc", false, "adc", true),
        ("a~bc", false, "abc", false),
        ("a~bc", false, "ac", true),
        ("~(ab)", false, "", true),
        ("~(ab)", false, "ab", false),
        ("~~(ab)", false, "ab", true),
        ("~a", true, "A", false),
        ("x~y*", false, "x", true),
        ("x~y*", false, "xyy", true),
        ("~a{2}", false, "a", false),
        ("~a{2}", false, "aa", true),
        ("(~(.*evil.*))\\.exe", false, "good.exe", true),
        ("(~(.*evil.*))\\.exe", false, "an evil one.exe", false),
        // Intersection binds closer than union and looser than concatenation.
        ("aaa.+&.+bbb", false, "aaabbb", true),
        ("aaa.+&.+bbb", false, "aaab", false),
        ("a|bc&.*d", false, "a", true),
        ("a|bc&.*d", false, "bc", false),
        ("@&~(abc.+)", false, "abc", true),
        ("@&~(abc.+)", false, "abcd", false),
        ("(.*a.*&.*b.*)c", false, "bac", true),
        ("(.*a.*&.*b.*)c", false, "bbc", false),
        ("([a-m]&[h-z])+", false, "him", true),
        ("([a-m]&[h-z])+", false, "ham", false),
        ("(~(é)&[à-ÿ])x", true, "Àx", true),
        ("(~(é)&[à-ÿ])x", true, "Éx", false),
        // Intervals: zeros in front where the bounds differ in length, as many digits as the bounds where not.
        ("foo<1-100>", false, "foo1", true),
        ("foo<1-100>", false, "foo100", true),
        ("foo<1-100>", false, "foo0042", true),
        ("foo<1-100>", false, "foo101", false),
        ("foo<1-100>", false, "foo0", false),
        ("foo<1-100>", false, "foo", false),
        ("foo<01-100>", false, "foo01", true),
        ("<001-100>", false, "042", true),
        ("<001-100>", false, "42", false),
        ("<001-100>", false, "0042", false),
        ("<0-10>", false, "000", true),
        ("<0-0>", false, "0", true),
        ("<10-9>", false, "9", true),
        ("<10-9>", false, "8", false),
        ("<5-3>", false, "4", true),
        ("<0-999999999999999999>", false, "123456789012345678", true),
        ("<8-65535>", false, "65536", false),
        ("a>", false, "a>", true),
    ] {
        let regex = compile(pattern, fold).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(regex.is_match(text), expected, "{pattern} over {text:?}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (pattern, offset, part) in [
        ("a(b", 1, "never closed"),
        ("ab)", 2, "closes no group"),
        ("[ab", 0, "never closed"),
        ("a[]b", 1, "empty"),
        ("*a", 0, "nothing to repeat"),
        ("a{3,1}", 1, "wrong order"),
        ("a{x}", 1, "expected a count"),
        ("a{2000}", 1, "at most"),
        ("[z-a]", 1, "wrong order"),
        ("a\\", 1, "ends behind"),
        ("a~", 1, "behind this `~`"),
        ("(~~)", 1, "behind this `~`"),
        ("~&a", 0, "behind this `~`"),
        ("~*", 1, "nothing to repeat"),
        ("a&", 1, "behind this `&`"),
        ("a|&b", 2, "before this `&`"),
        ("a&&b", 1, "behind this `&`"),
        ("a<name>", 1, "expected a numeric interval"),
        ("<1-9", 0, "expected a numeric interval"),
        ("<1-2-3>", 0, "expected a numeric interval"),
        ("<-3>", 0, "expected a numeric interval"),
        ("<0-1000000000000000000>", 0, "at most 18 digits"),
        ("\"a", 0, "never closed"),
    ] {
        let error = compile(pattern, false).expect_err(pattern);
        assert_eq!(error.offset, offset, "{pattern}: {error}");
        assert!(error.message.contains(part), "{pattern}: {error}");
    }
    assert!(compile(&"(".repeat(10_000), false).is_err());
    assert!(compile("((a{1000}){1000}){1000}", false).is_err());
    let error = compile("x(~(.*a.{30}))y", false).expect_err("it has 2^30 states");
    assert!(error.message.contains("more than 10000 states"), "{error}");
    assert!(error.help.is_some_and(|help| help.contains("`\\~`")));
}

#[test]
fn intervals_hold_the_numbers_between_their_bounds() {
    for (low, high) in
        [("0", "0"), ("7", "123"), ("98", "1003"), ("250", "260"), ("009", "110"), ("1", "999"), ("20", "3")]
    {
        let regex = compile(&format!("<{low}-{high}>"), false).expect("an interval");
        let (first, last) = (low.parse::<u32>().expect("a number"), high.parse::<u32>().expect("a number"));
        let bounds = first.min(last)..=first.max(last);
        for number in 0..1200_u32 {
            for width in 0..6 {
                let text = format!("{number:0width$}");
                let wide_enough = low.len() != high.len() || text.len() == low.len();
                let expected = bounds.contains(&number) && wide_enough;
                assert_eq!(regex.is_match(&text), expected, "<{low}-{high}> over {text}");
            }
        }
    }
}

#[test]
fn outermost_operators_have_no_states_to_run_out_of() {
    let regex = compile("~(.*a.{30})&.{0,1000}|b", false).expect("no automaton is made of it");
    assert!(regex.is_match("a") && !regex.is_match(&format!("xxa{}", "-".repeat(30))) && regex.is_match("b"));
    let many = |count: usize| vec!["~a"; count].join("|");
    assert!(compile(&many(MAX_OPERATORS), false).is_ok());
    assert_eq!(compile(&many(MAX_OPERATORS + 1), false).expect_err("too many").offset, 3 * MAX_OPERATORS);
}

#[test]
fn bombs_end_in_an_error_or_an_expression() {
    let deep = |quantifiers: &str| format!("{}a{}", "(".repeat(MAX_DEPTH), format!("){quantifiers}").repeat(MAX_DEPTH));
    for pattern in [
        deep("?"),
        deep(&"*".repeat(20)),
        deep("{2}"),
        deep("{2}{2}?"),
        format!("x(~({}))", "a?".repeat(10_000)),
        format!("x(~({}))", deep("{0,2}")),
        format!("x(~({}))", "[a-z]".repeat(6_000)),
        format!("x(~({}))", "(a|b?)*".repeat(4_000)),
        format!("(~({})){{1000}}", "a|".repeat(10_000)),
        format!("x({})", vec!["~(.*a.{9})"; 50].join("&")),
        format!("x(~({}))", (0..3_000).filter_map(|code| char::from_u32(0x4e00 + 2 * code)).collect::<String>()),
        "<1-999999999999999998>".repeat(MAX_OPERATORS),
    ] {
        if let Ok(regex) = compile(&pattern, true) {
            regex.is_match(&"ab".repeat(500));
            assert!(regex.size() < 2 * MAX_PROGRAM);
        }
    }
}
