//! Hand-written predicates of rules: whether the query, the fields and the code fit together.
//!
//! In: a rule whose query was typed. Out: what lowering needs, or every reason why not. The code is checked against the
//! host API's table, the one that the engine links by, and is not run.

use kestrel_backend_wasm::interface_of;
use kestrel_ir::model::ProgramLanguage;
use kestrel_schema::host_api::{check_module, check_source};
use kestrel_schema::{FieldType, Schema};

use crate::diagnostics::Diagnostic;
use crate::lower::TypedProgram;
use crate::rules::errors::ProgramUnusable;
use crate::rules::{PredicateSource, RuleSource};
use crate::types::errors::{PredicateOnManyEvents, PredicateReadsNoField};
use crate::types::tree::{TypedForm, TypedQuery};

/// Checks the predicate of a rule, if it has one.
pub(super) fn check(
    rule: &RuleSource,
    query: &TypedQuery,
    schema: &Schema,
) -> Result<Option<TypedProgram>, Vec<Diagnostic>> {
    let Some(predicate) = &rule.predicate else { return Ok(None) };
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    if !matches!(query.form, TypedForm::Event(_)) {
        diagnostics.push(PredicateOnManyEvents { span: predicate.span }.into());
    }
    let fields = fields(predicate, schema, &mut diagnostics);
    // Code that nobody read is no mistake to be told beside another.
    let reasons = if predicate.code.is_none() && !diagnostics.is_empty() { Vec::new() } else { problems(predicate) };
    for reason in reasons {
        let (span, source) = (predicate.source_span, predicate.source.clone());
        diagnostics.push(ProgramUnusable { span, source, reason }.into());
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    Ok(Some(TypedProgram {
        name: format!("{}/{}", rule.id, predicate.source),
        language: predicate.language,
        fields,
        capabilities: predicate.capabilities.clone(),
        limits: predicate.limits,
    }))
}

fn fields(predicate: &PredicateSource, schema: &Schema, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, FieldType)> {
    let mut fields: Vec<(String, FieldType)> = Vec::new();
    for (name, span) in &predicate.fields {
        let (span, name) = (*span, name.clone());
        match schema.lookup(&name).map(|info| info.field_type) {
            Some(FieldType::Object) => {
                let reason = "an object has no value of its own";
                diagnostics.push(PredicateReadsNoField { span, name, reason, nearest: None }.into());
            }
            None if !schema.dynamic() => {
                let nearest = schema.nearest(&name, 1).first().map(|near| near.to_string());
                let reason = "the schema does not know this field";
                diagnostics.push(PredicateReadsNoField { span, name, reason, nearest }.into());
            }
            known if !fields.iter().any(|(other, _)| *other == name) => {
                fields.push((name, known.unwrap_or(FieldType::Keyword)));
            }
            Some(_) | None => {}
        }
    }
    fields
}

/// What is wrong with the code.
fn problems(predicate: &PredicateSource) -> Vec<String> {
    let Some(code) = &predicate.code else { return vec!["its code was not read".to_owned()] };
    let found = match predicate.language {
        ProgramLanguage::Wasm => match interface_of(code) {
            Ok(interface) => check_module(&interface.imports, &interface.exports, &predicate.capabilities),
            Err(error) => return vec![format!("it is no Wasm module: {error}")],
        },
        ProgramLanguage::Lua => match std::str::from_utf8(code) {
            Ok(source) => check_source(source, &predicate.capabilities),
            Err(error) => return vec![format!("it is not UTF-8: {error}")],
        },
    };
    found.iter().map(ToString::to_string).collect()
}
