//! Lineage: `child of [..]`, `descendant of [..]`, `event of [..]`.
//!
//! In: the construct as written. Out: [`TypedKind::Lineage`] with its filter, which is a filter of its own: it sees
//! neither the events of other steps nor the object that is searched around it.

use kestrel_ir::model::Relation;
use kestrel_schema::{Family, FieldType};

use super::Checker;
use super::limit_errors::LineageNotSupported;
use super::tree::{LINEAGE_FIELDS, Type, Typed, TypedKind};
use crate::syntax::{Dialect, Filter, Span, ast};

impl Checker<'_> {
    pub(super) fn lineage(&mut self, span: Span, relation: ast::Relation, filter: &Filter) -> Typed {
        let (search, references) = (self.search.take(), self.no_references.replace("a lineage filter"));
        let filter = self.filter(filter);
        (self.search, self.no_references) = (search, references);
        // In `elastic` the parser has reported it.
        if !self.dialect.includes(Dialect::Endpoint) || filter.condition.is_error() {
            return Typed::error(span);
        }
        let is_keyword =
            |name: &&str| self.schema.lookup(name).is_some_and(|info| info.field_type == FieldType::Keyword);
        if let Some(missing) = LINEAGE_FIELDS.iter().find(|name| !is_keyword(name)) {
            self.report(LineageNotSupported { span, construct: relation.text(), missing });
            return Typed::error(span);
        }
        if filter.condition.constant().is_some_and(|constant| *constant != kestrel_ir::model::Constant::Boolean(true)) {
            return Typed::boolean(span, false);
        }
        let relation = match relation {
            ast::Relation::Child => Relation::Child,
            ast::Relation::Descendant => Relation::Descendant,
            ast::Relation::Event => Relation::Event,
        };
        Typed::new(span, Type::Of(Family::Boolean), TypedKind::Lineage { relation, filter: Box::new(filter) })
    }
}
