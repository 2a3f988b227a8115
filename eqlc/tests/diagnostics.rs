//! What a user sees for each mistake: source and message together, in `tests/syntax/*.txt`. `BLESS=1` writes them anew.
//!
//! A case is `=== name (dialect)`, the source, and behind `---` what comes of it: the messages, and behind `fixed:` the
//! source with every fix applied.

use std::fmt::Write as _;
use std::path::Path;

use eqlc::diagnostics::{SourceFile, apply_fixes, codes, explain, json_line, render};
use eqlc::syntax::{Dialect, Limits, parse, parse_with};

fn outcome(source: &str, dialect: Dialect) -> String {
    let parsed = parse(source, dialect);
    let file = SourceFile::new("query.eql", source);
    let mut output = render(&parsed.diagnostics, &file, false);
    if parsed.diagnostics.is_empty() {
        output += "clean\n";
    }
    if parsed.diagnostics.iter().any(|diagnostic| diagnostic.fix.is_some()) {
        let fixed = apply_fixes(source, &parsed.diagnostics);
        let left = parse(&fixed, dialect).diagnostics;
        let left: Vec<&str> = left.iter().map(|diagnostic| diagnostic.code).collect();
        let _ = writeln!(output, "fixed: {}", fixed.trim_end());
        if !left.is_empty() {
            let _ = writeln!(output, "left: {}", left.join(" "));
        }
    }
    output.lines().map(|line| line.trim_end().to_string() + "\n").collect::<String>().trim_end().to_string() + "\n"
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the case file can be read");
    let mut blessed = String::new();
    for case in format!("\n{text}").split("\n=== ").skip(1) {
        let (title, body) = case.split_once('\n').expect("a case has a title line");
        let source = body.split("\n---").next().expect("a case has a source").trim_end_matches('\n');
        let dialect = title.split_once('(').map_or("elastic", |(_, rest)| rest.trim_end_matches(')'));
        let outcome = outcome(source, dialect.parse().expect("the dialect is known"));
        let _ = write!(blessed, "=== {title}\n{source}\n---\n{outcome}\n");
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &blessed).expect("the case file can be written");
    } else {
        assert_eq!(text, blessed, "{} differs; BLESS=1 blesses", path.display());
    }
}

#[test]
fn messages_are_as_recorded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax");
    for entry in std::fs::read_dir(directory).expect("the cases are there") {
        let path = entry.expect("the case can be listed").path();
        if path.extension().is_some_and(|ending| ending == "txt") {
            check(&path);
        }
    }
}

fn blocks(page: &str) -> Vec<&str> {
    page.split("```eql\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn every_page_shows_its_code_and_a_cure() {
    for info in codes() {
        assert!(
            explain(info.code).is_some_and(|page| page.starts_with(&format!("# {}: {}\n", info.code, info.title))),
            "{}",
            info.code
        );
        let [bad, good] = blocks(info.page)[..] else { continue };
        if !info.code.starts_with("E01") {
            continue;
        }
        let found = parse(bad, Dialect::Elastic).diagnostics;
        assert!(found.iter().any(|diagnostic| diagnostic.code == info.code), "{}: {bad}: {found:?}", info.code);
        if info.code != "E0135" {
            let left = parse(good, Dialect::Elastic).diagnostics;
            assert!(left.is_empty(), "{}: {good}: {left:?}", info.code);
        }
    }
}

#[test]
fn codes_are_unique_and_in_order() {
    let codes = codes();
    assert!(codes.windows(2).all(|pair| pair[0].code < pair[1].code));
}

#[test]
fn every_form_code_has_a_recorded_message() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax");
    let recorded: String = std::fs::read_dir(directory)
        .expect("the cases are there")
        .map(|entry| std::fs::read_to_string(entry.expect("the case can be listed").path()).expect("it can be read"))
        .collect();
    for info in codes().iter().filter(|info| info.code.starts_with("E01")) {
        assert!(recorded.contains(&format!("error[{}]", info.code)), "{} has no case", info.code);
    }
}

#[test]
fn hostile_input_ends_in_an_error() {
    let mega = 1 << 20;
    let fill = |unit: &str| unit.repeat(mega / unit.len());
    let start = "any where ";
    let room = (mega - 100) / 8;
    let hostile = [
        fill("("),
        fill("["),
        fill("!["),
        fill(")"),
        fill("]"),
        fill("not "),
        fill("- "),
        fill("\""),
        fill("'"),
        fill("`"),
        fill("``` "),
        fill("/*"),
        fill("“"),
        fill("\"\"\""),
        fill("a "),
        fill("a."),
        fill("sequence "),
        fill("|"),
        fill("a["),
        fill(", "),
        fill("é"),
        fill("[any where true] "),
        fill("by a "),
        fill("\\"),
        fill("\0"),
        fill("(a == "),
        fill("![a where (b "),
        format!("{start}{}", "not ".repeat(10_000)),
        format!("{start}{}true", "1+".repeat(room)),
        format!("{start}{}1", "1 == ".repeat(room)),
        format!("{start}a in ({})", "a b, ".repeat(room)),
        format!("{start}{}true", "child of [a where ".repeat(room / 4)),
        format!("sequence {}", "[any where a b c] by d e ".repeat(room / 4)),
        format!("sequence {}", "with maxspan=5 by a ".repeat(room / 4)),
        format!("sequence {}", "any where a ".repeat(room / 4)),
    ];
    for source in hostile {
        let parsed = parse(&source, Dialect::Classic);
        let shown: String = source.chars().take(30).collect();
        assert!(!parsed.diagnostics.is_empty(), "{shown}");
        assert!(parsed.diagnostics.len() <= Limits::default().diagnostics + 1, "{shown}");
        let _ = render(&parsed.diagnostics, &SourceFile::new("hostile.eql", source), true);
    }
    let long = format!("{start}{}true", "true or ".repeat(100_000));
    assert!(parse(&long, Dialect::Elastic).diagnostics.is_empty());
}

#[test]
fn limits_are_reported() {
    let limits = Limits { source: 100, nesting: 3, list: 3, diagnostics: 2 };
    let code = |source: &str| parse_with(source, Dialect::Elastic, limits).diagnostics.last().map(|last| last.code);
    assert_eq!(code(&format!("any where {}", "true or ".repeat(20))), Some("E0401"));
    assert_eq!(code("any where ((((true))))"), Some("E0402"));
    assert_eq!(code("any where a in (1, 2, 3, 4, 5)"), Some("E0403"));
    assert_eq!(code("any where ; # $ ; \\ { ;"), Some("E0404"));
    assert_eq!(code("any where ((true)) and ((true)) or a in (1, 2, 3)"), None);
}

#[test]
fn cut_queries_never_panic() {
    let whole = "sequence by a, ?b with maxspan=5m [process where x : (\"a*\", \"\"\"b\"\"\") and not `in`.y[0] in~ (1, -2.5)] \
                 by c with runs=3 as e0 ![any where f~(\"\\u{41}\") /* c */ >= 1 * 2] by ?d until [\"é\" where null] by e | head 5";
    for (cut, _) in whole.char_indices() {
        for dialect in Dialect::ALL {
            for text in [&whole[..cut], &whole[cut..]] {
                let parsed = parse(text, dialect);
                let file = SourceFile::new("cut.eql", text);
                let _ = render(&parsed.diagnostics, &file, false);
                for diagnostic in &parsed.diagnostics {
                    assert!(diagnostic.span().end <= text.len(), "{text}: {diagnostic:?}");
                    let _ = json_line(diagnostic, &file);
                }
            }
        }
    }
}
