//! Many rules into one IR: each is checked on its own, those without mistakes are lowered together.

use kestrel_schema::Schema;

use super::stages::{Lowered, Parsed, Typed, Verified};
use super::{programs, suppression};
use crate::diagnostics::{Diagnostic, SourceFile};
use crate::lints;
use crate::rules::RuleSource;
use crate::syntax::{Dialect, tokens};
use crate::types::CheckOptions;

/// How rules are compiled.
#[derive(Debug, Clone, Default)]
pub struct CompileOptions {
    /// Names and types.
    pub schema: Schema,
    /// The dialect of the rules that do not name their own; without one, the form of a rule's file decides.
    pub dialect: Option<Dialect>,
}

/// What became of the rules.
#[derive(Debug, Clone)]
pub struct Compilation {
    /// The IR of the rules that were built, in their order.
    pub verified: Verified,
    /// Those rules, in the same order.
    pub built: Vec<BuiltRule>,
    /// The rules that were left out for their mistakes.
    pub failed: Vec<FailedRule>,
    /// The rules that are switched off: `enabled = false`.
    pub disabled: Vec<RuleSource>,
}

/// A rule of the IR.
#[derive(Debug, Clone)]
pub struct BuiltRule {
    /// The rule as it was read.
    pub source: RuleSource,
    /// The dialect that it was compiled in.
    pub dialect: Dialect,
    /// What may not be meant so.
    pub warnings: Vec<Diagnostic>,
}

/// A rule with mistakes.
#[derive(Debug, Clone)]
pub struct FailedRule {
    /// The rule as it was read.
    pub source: RuleSource,
    /// All mistakes, and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compilation {
    /// All diagnostics, each list with the file that it speaks about.
    pub fn reports(&self) -> impl Iterator<Item = (&SourceFile, &[Diagnostic])> {
        let failed = self.failed.iter().map(|rule| (&*rule.source.source, rule.diagnostics.as_slice()));
        let built = self.built.iter().map(|rule| (&*rule.source.source, rule.warnings.as_slice()));
        failed.chain(built).filter(|(_, diagnostics)| !diagnostics.is_empty())
    }
}

/// Compiles rules for the live engine. The order of the rules is kept; the same rules give the same IR.
///
/// ```
/// use eqlc::compile::{CompileOptions, compile_rules};
///
/// let files = [
///     ("good.eql".to_owned(), "process where process.name == \"bash\"".to_owned()),
///     ("bad.eql".to_owned(), "process where process.nmae == \"bash\"".to_owned()),
/// ];
/// let rules = eqlc::rules::load_all(files).rules;
/// let compilation = compile_rules(rules, &CompileOptions::default());
/// assert_eq!(compilation.built[0].source.id, "good");
/// assert_eq!(compilation.failed[0].diagnostics[0].code, "E0201");
/// assert_eq!(compilation.verified.ir().rules.len(), 1);
/// ```
pub fn compile_rules(sources: Vec<RuleSource>, options: &CompileOptions) -> Compilation {
    let mut checked: Vec<(BuiltRule, Typed)> = Vec::new();
    let mut failed = Vec::new();
    let mut disabled = Vec::new();
    for source in sources {
        if !source.enabled {
            disabled.push(source);
            continue;
        }
        let dialect = source.dialect_or(options.dialect);
        let check = CheckOptions { schema: &options.schema, dialect, live: true };
        match Parsed::new(&source.query, dialect).check(check) {
            (Some(typed), mut warnings) => {
                let typed = match programs::check(&source, typed.query(), &options.schema) {
                    Ok(program) => typed.with_program(program),
                    Err(diagnostics) => {
                        warnings.extend(diagnostics);
                        failed.push(FailedRule { source, diagnostics: warnings });
                        continue;
                    }
                };
                let typed = match suppression::fields(&source, &options.schema) {
                    Ok(fields) => typed.with_kept(fields),
                    Err(diagnostics) => {
                        warnings.extend(diagnostics);
                        failed.push(FailedRule { source, diagnostics: warnings });
                        continue;
                    }
                };
                let systems = lints::lint_systems(typed.query(), &source.os, &source.query, &options.schema);
                warnings.extend(systems);
                lints::keep(&mut warnings, &lints::allowed_in(&source.query, &tokens(&source.query).1));
                lints::keep(&mut warnings, &source.allow);
                checked.push((BuiltRule { source, dialect, warnings }, typed));
            }
            (None, diagnostics) => failed.push(FailedRule { source, diagnostics }),
        }
    }
    let verified = lower(&mut checked, &mut failed, &options.schema);
    Compilation { verified, built: checked.into_iter().map(|(rule, _)| rule).collect(), failed, disabled }
}

/// Lowers all checked rules. When the verifier refuses the whole, the rules that it refuses one by one fail; when that
/// does not help, all do.
fn lower(checked: &mut Vec<(BuiltRule, Typed)>, failed: &mut Vec<FailedRule>, schema: &Schema) -> Verified {
    for retry in [false, true] {
        if retry {
            fail(checked, failed, |rule, typed| {
                let alone = Lowered::new(schema, [(rule.source.id.as_str(), typed)]);
                alone.optimise().verify().err().map(Diagnostic::from)
            });
        }
        let lowered = Lowered::new(schema, checked.iter().map(|(rule, typed)| (rule.source.id.as_str(), typed)));
        match lowered.optimise().verify() {
            Ok(verified) => return verified,
            Err(refused) if retry => {
                let diagnostic = Diagnostic::from(refused);
                fail(checked, failed, |_, _| Some(diagnostic.clone()));
            }
            Err(_) => {}
        }
    }
    Verified::empty(schema)
}

/// Moves the rules for which there is a reason to the failed ones.
fn fail(
    checked: &mut Vec<(BuiltRule, Typed)>,
    failed: &mut Vec<FailedRule>,
    reason: impl Fn(&BuiltRule, &Typed) -> Option<Diagnostic>,
) {
    for (rule, typed) in std::mem::take(checked) {
        match reason(&rule, &typed) {
            None => checked.push((rule, typed)),
            Some(diagnostic) => {
                let mut diagnostics = rule.warnings;
                diagnostics.push(diagnostic);
                failed.push(FailedRule { source: rule.source, diagnostics });
            }
        }
    }
}
