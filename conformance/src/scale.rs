//! Many rules from few real ones: what an engine costs when there are as many rules as it is made for.
//!
//! In: rules as they are written, and how many are wanted. Out: that many rules. The first are the rules themselves; each
//! copy after that is a rule of its own, with its own id, and with a number in every constant that says what the rule is
//! about: names of programs, paths, command lines, hosts. A copy word for word would be found to be the same by a compiler
//! that shares tests, and would cost nothing. Constants that say which events a rule looks at at all (`event.action`,
//! `host.os.type`) stay: rules of real collections share them too.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use eqlc::compile::{CompileOptions, compile_rules};
use eqlc::diagnostics::SourceFile;
use eqlc::rules::{RuleSource, files};
use eqlc::syntax::{Expr, ExprKind, Filter, Form, Literal, Span, Term, parse, walk};

use crate::generate::Random;

/// The last parts of the names of fields whose constants differ from copy to copy.
const VARIED: [&str; 18] = [
    "name",
    "executable",
    "command_line",
    "args",
    "original_file_name",
    "path",
    "working_directory",
    "title",
    "strings",
    "subject_name",
    "extension",
    "domain",
    "value",
    "resource_name",
    "param",
    "pathname",
    "file_name",
    "syscall_name",
];

/// Parts at the start of the names of fields whose constants stay.
const KEPT: [&str; 5] = ["event.", "host.", "user.", "agent.", "data_stream."];

/// The rules below a folder that build, without those that have code of their own.
///
/// # Errors
/// When the folder cannot be read.
pub fn building(folder: &Path) -> Result<Vec<RuleSource>> {
    let sources = files::load(&[folder.to_owned()])?.rules;
    let compilation = compile_rules(sources.clone(), &CompileOptions::default());
    let reports = compilation.reports().filter(|(_, found)| found.iter().any(|one| one.is_error()));
    let broken: BTreeSet<String> = reports.map(|(source, _)| source.name().to_owned()).collect();
    let builds = |rule: &RuleSource| rule.predicate.is_none() && !broken.contains(rule.source.name());
    Ok(sources.into_iter().filter(builds).collect())
}

/// `count` rules made of `sources`, in an order that `seed` decides. Rules with nothing to vary are there once.
pub fn scale(sources: &[RuleSource], count: usize, seed: u64) -> Vec<RuleSource> {
    let mut rules = sources.to_vec();
    let mut random = Random::new(seed);
    for last in (1..rules.len()).rev() {
        rules.swap(last, random.below(last + 1));
    }
    let originals: Vec<(RuleSource, Vec<Span>)> =
        rules.iter().map(|rule| (rule.clone(), places(rule))).filter(|(_, places)| !places.is_empty()).collect();
    let mut copy = 0;
    while rules.len() < count && !originals.is_empty() {
        copy += 1;
        let wanted = count - rules.len();
        rules.extend(originals.iter().take(wanted).map(|(rule, places)| varied(rule, places, copy)));
    }
    rules.truncate(count);
    rules
}

/// A copy of a rule with other constants.
fn varied(rule: &RuleSource, places: &[Span], copy: usize) -> RuleSource {
    let mut query = rule.query.clone();
    // From the back, so that the places before stay where they are.
    for place in places.iter().rev() {
        if let Some(at) = after_longest_word(place.text(&rule.query)) {
            query.insert_str(place.range().start + at, &copy.to_string());
        }
    }
    let id = format!("{}-copy-{copy}", rule.id);
    let source = Arc::new(SourceFile::new(format!("{} (copy {copy})", rule.path), query.clone()));
    RuleSource { name: format!("{} (copy {copy})", rule.name), id, query, source, ..rule.clone() }
}

/// Where the constants stand that a copy varies, in the order of the text.
fn places(rule: &RuleSource) -> Vec<Span> {
    let query = parse(&rule.query, rule.dialect_or(None)).query;
    let mut found = Vec::new();
    let mut look = |filter: &Filter| walk::each(&filter.condition, &mut |expr| constants(expr, &mut found));
    let mut each = |terms: &[Term]| terms.iter().for_each(|term| look(&term.filter));
    match &query.form {
        Form::Sequence(sequence) => {
            each(&sequence.terms);
            each(sequence.until.as_deref().map_or(&[], std::slice::from_ref));
        }
        Form::Sample(sample) => each(&sample.terms),
        Form::Join(join) => each(&join.terms),
        Form::Event(filter) => look(filter),
        Form::Error(_) => {}
    }
    found.retain(|place| after_longest_word(place.text(&rule.query)).is_some());
    found.sort_by_key(|place| place.range().start);
    found.dedup();
    found
}

/// The strings that an expression compares with a field of [`VARIED`].
fn constants(expr: &Expr, found: &mut Vec<Span>) {
    let (subject, constants): (&Expr, Vec<&Expr>) = match &expr.kind {
        ExprKind::Compare { left, right, .. } => (left, vec![right]),
        ExprKind::In { subject, list, .. } => (subject, list.iter().collect()),
        ExprKind::Match { subject, patterns, .. } => (subject, patterns.iter().collect()),
        ExprKind::Call(call) => match call.args.split_first() {
            Some((subject, rest)) => (subject, rest.iter().collect()),
            None => return,
        },
        _ => return,
    };
    let ExprKind::Field(field) = &subject.kind else { return };
    let name = field.name();
    let last = name.rsplit('.').next().unwrap_or(&name);
    if !VARIED.contains(&last) || KEPT.iter().any(|kept| name.starts_with(kept)) {
        return;
    }
    let is_string = |expr: &&Expr| matches!(&expr.kind, ExprKind::Literal(Literal::String { .. }));
    found.extend(constants.into_iter().filter(is_string).map(|constant| constant.span));
}

/// The end of the longest run of letters and digits in a string as it is written, passing over what a backslash, a class
/// or braces begin, so that an escape or a regular expression stays one.
fn after_longest_word(written: &str) -> Option<usize> {
    let (mut best, mut length) = (None, 0);
    let (mut run, mut escaped, mut depth) = (0, false, 0_usize);
    for (index, character) in written.char_indices() {
        let word = character.is_ascii_alphanumeric() && !escaped && depth == 0;
        run = if word { run + 1 } else { 0 };
        if run > length {
            (best, length) = (Some(index + 1), run);
        }
        match character {
            '[' | '{' if !escaped => depth += 1,
            ']' | '}' if !escaped => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::project;

    #[test]
    fn a_number_stands_behind_the_longest_word() {
        let with = |text: &str| {
            let mut text = text.to_owned();
            if let Some(at) = after_longest_word(&text) {
                text.insert(at, '7');
            }
            text
        };
        assert_eq!(with(r#""curl""#), r#""curl7""#);
        assert_eq!(with(r#""*/tmp/*.sh""#), r#""*/tmp7/*.sh""#);
        assert_eq!(with(r#""C:\\Windows\\cmd.exe""#), r#""C:\\Windows7\\cmd.exe""#);
        assert_eq!(with(r#""-d""#), r#""-d7""#);
        assert_eq!(with(r#""ab[bcde]{222}\d""#), r#""ab7[bcde]{222}\d""#);
        assert_eq!(with(r#""*""#), r#""*""#);
    }

    #[test]
    fn copies_build_and_are_other_rules() {
        let sources = files::load(&[project().expect("the project").join("rules")]).expect("rules").rules;
        let scaled = scale(&sources, 200, 1);
        assert_eq!(scaled.len(), 200);
        let ids: BTreeSet<&str> = scaled.iter().map(|rule| rule.id.as_str()).collect();
        let queries: BTreeSet<&str> = scaled.iter().map(|rule| rule.query.as_str()).collect();
        assert_eq!((ids.len(), queries.len()), (200, 200));
        let again: Vec<String> = scale(&sources, 200, 1).into_iter().map(|rule| rule.query).collect();
        assert_eq!(again, scaled.iter().map(|rule| rule.query.clone()).collect::<Vec<_>>());
        let copies = scaled.into_iter().filter(|rule| rule.id.contains("-copy-")).collect();
        let compilation = compile_rules(copies, &CompileOptions::default());
        for (source, diagnostics) in compilation.reports() {
            let errors: Vec<&str> =
                diagnostics.iter().filter(|found| found.is_error()).map(|found| found.message.as_str()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", source.name());
        }
    }
}
