//! The fields by which alerts of a rule are suppressed: they have to be in the frames, whether a query reads them or not.

use kestrel_schema::{FieldType, Schema};

use crate::diagnostics::Diagnostic;
use crate::rules::errors::ValueOutOfRange;
use crate::rules::{FileForm, RuleSource};

/// The fields with their types. In our own form a field has to be known; the public forms name what they like, and a field
/// that is not known is a keyword.
pub(super) fn fields(rule: &RuleSource, schema: &Schema) -> Result<Vec<(String, FieldType)>, Vec<Diagnostic>> {
    let Some(suppression) = &rule.suppression else { return Ok(Vec::new()) };
    let (mut fields, mut diagnostics) = (Vec::new(), Vec::new());
    let lenient = schema.dynamic() || rule.form != FileForm::Eql;
    for (name, span) in &suppression.by {
        let expected = match schema.lookup(name).map(|info| info.field_type) {
            Some(FieldType::Object) => "fields with a value of their own, and this is an object".to_string(),
            Some(known) => {
                fields.push((name.clone(), known));
                continue;
            }
            None if lenient => {
                fields.push((name.clone(), FieldType::Keyword));
                continue;
            }
            None => {
                let nearest = schema.nearest(name, 1).first().map(|near| format!(" (did you mean `{near}`?)"));
                format!("fields that the schema knows{}", nearest.unwrap_or_default())
            }
        };
        let key = if rule.form == FileForm::Eql { "by" } else { "group_by" };
        let (span, key, value) = (*span, key.to_string(), name.clone());
        diagnostics.push(ValueOutOfRange { span, key, value, expected, nearest: None, quoted: true }.into());
    }
    if diagnostics.is_empty() { Ok(fields) } else { Err(diagnostics) }
}
