//! What a name stands for: a field of the schema, of another step's event, or of the object that is searched.
//!
//! In: fields and variables of the syntax tree. Out: [`FieldUse`]s, or a diagnostic with the nearest names.

use kestrel_schema::FieldType;

use super::errors::{MisplacedAlias, ObjectAsValue, UnknownField, UnknownVariable};
use super::limit_errors::{ArrayIndexNotSupported, ReferenceNotSupported};
use super::tree::{FieldOwner, FieldUse, Type, Typed, TypedKind};
use super::warnings::OptionalUnknown;
use super::{Checker, Search};
use crate::syntax::{Dialect, Field, Segment, Span, Variable};

/// How many names a message offers.
const OFFERED: usize = 3;

impl Checker<'_> {
    /// A field where a value is wanted; an object is one only for a test against null.
    pub(super) fn field(&mut self, field: &Field) -> Typed {
        if let Some(index) = field.segments.iter().find(|segment| matches!(segment, Segment::Index { .. })) {
            self.report_index(index.span());
            return Typed::error(field.span);
        }
        if let Some((step, name)) = self.step_reference(field) {
            let Some(step) = step else { return Typed::error(field.span) };
            return match self.resolve(&name, field) {
                Resolved::Field(field_type) => {
                    let used = FieldUse { name, field_type, owner: FieldOwner::Step(step) };
                    Typed { joined: true, ..use_of(field.span, used) }
                }
                Resolved::Null => Typed::null(field.span),
                Resolved::Error => Typed::error(field.span),
            };
        }
        let name = field.name();
        match self.resolve(&name, field) {
            Resolved::Field(field_type) => use_of(field.span, FieldUse { name, field_type, owner: FieldOwner::Event }),
            Resolved::Null => Typed::null(field.span),
            Resolved::Error => Typed::error(field.span),
        }
    }

    /// The type of a name in the schema; reports an unknown one.
    pub(super) fn resolve(&mut self, name: &str, field: &Field) -> Resolved {
        if let Some(field_type) = self.field_type(name) {
            return Resolved::Field(field_type);
        }
        if field.optional {
            let nearest = self.schema.nearest(name, 1).into_iter().next();
            self.report(OptionalUnknown { span: field.span, name: name.to_owned(), nearest });
            return Resolved::Null;
        }
        self.unknown_field(name, field.span);
        Resolved::Error
    }

    /// The type of a name: as the schema says, an object when it only has fields below it.
    pub(super) fn field_type(&self, name: &str) -> Option<FieldType> {
        match self.schema.lookup(name) {
            Some(info) => Some(info.field_type),
            None => self.schema.children(name).next().map(|_| FieldType::Object),
        }
    }

    /// Reports an index; in `elastic` the parser has.
    pub(super) fn report_index(&mut self, span: Span) {
        if self.dialect.includes(Dialect::Endpoint) {
            self.report(ArrayIndexNotSupported { span });
        }
    }

    pub(super) fn unknown_field(&mut self, name: &str, span: Span) {
        // The parser has reported a part without a name.
        if name.split('.').any(str::is_empty) {
            return;
        }
        let nearest = self.schema.nearest(name, OFFERED);
        let note = self.schema.dynamic().then(|| {
            "the schema takes types from the data, but the data has no such field; list it in the schema file"
                .to_owned()
        });
        self.report(UnknownField { span, name: name.to_owned(), nearest, note });
    }

    /// Splits `e0.process.name`: the step, or `None` when it was reported, and the field's own name.
    fn step_reference(&mut self, field: &Field) -> Option<(Option<u32>, String)> {
        let [Segment::Name(first), rest @ ..] = field.segments.as_slice() else { return None };
        let alias = self.aliases.iter().find(|alias| alias.name == first.text)?;
        let names: Vec<&str> = rest
            .iter()
            .filter_map(|segment| match segment {
                Segment::Name(name) => Some(name.text.as_str()),
                Segment::Index { .. } => None,
            })
            .collect();
        let name = names.join(".");
        let misplaced =
            |reason| MisplacedAlias { span: first.span, name: first.text.clone(), reason, defined: Some(alias.span) };
        if name.is_empty() {
            let error = MisplacedAlias {
                span: field.span,
                ..misplaced("expected a field of this event, as in `e0.process.name`")
            };
            self.report(error);
            return Some((None, name));
        }
        let error = match self.term {
            None => misplaced("no step comes before this"),
            Some(term) if alias.term == term => misplaced("this is the event itself; leave out the alias"),
            Some(term) if alias.term > term => misplaced("this step comes later"),
            Some(_) if alias.missing => misplaced("this event is missing and has no fields"),
            Some(_) => {
                let step = alias.step;
                if let Some(place) = self.no_references {
                    self.report(ReferenceNotSupported { span: field.span, place });
                    return Some((None, name));
                }
                return Some((Some(step), name));
            }
        };
        self.report(error);
        Some((None, name))
    }

    /// `$v` or `$v.a.b`.
    pub(super) fn variable(&mut self, variable: &Variable) -> Typed {
        let Some(search) = self.search.clone() else {
            self.report(UnknownVariable { span: variable.span, name: variable.name.text.clone(), known: None });
            return Typed::error(variable.span);
        };
        if search.variable != variable.name.text {
            let known = Some(search.variable);
            self.report(UnknownVariable { span: variable.span, name: variable.name.text.clone(), known });
            return Typed::error(variable.span);
        }
        let Search { field, .. } = search;
        let path = variable.path_name();
        if field.field_type != FieldType::Object {
            if !path.is_empty() {
                self.unknown_field(&format!("{}.{path}", field.name), variable.span);
                return Typed::error(variable.span);
            }
            return use_of(variable.span, field);
        }
        if path.is_empty() {
            self.object_as_value(&field.name, variable.span);
            return Typed::error(variable.span);
        }
        let name = format!("{}.{path}", field.name);
        match self.field_type(&name) {
            Some(field_type) => {
                use_of(variable.span, FieldUse { name, field_type, owner: FieldOwner::Object(field.name) })
            }
            None => {
                self.unknown_field(&name, variable.span);
                Typed::error(variable.span)
            }
        }
    }

    /// Reports a field of type object where a value is wanted.
    pub(super) fn object_as_value(&mut self, name: &str, span: Span) {
        let below = self.schema.children(name).take(OFFERED).map(|(name, _)| name.to_owned()).collect();
        self.report(ObjectAsValue { span, name: name.to_owned(), below });
    }

    /// Whether this is a field of type object, which is then reported.
    pub(super) fn refuses_object(&mut self, typed: &Typed) -> bool {
        match typed.field() {
            Some(field) if field.field_type == FieldType::Object => {
                let name = field.name.clone();
                self.object_as_value(&name, typed.span);
                true
            }
            _ => false,
        }
    }
}

/// What a name turned out to be.
pub(super) enum Resolved {
    /// A field of this type.
    Field(FieldType),
    /// An optional field that the schema does not know.
    Null,
    /// Unknown, and reported.
    Error,
}

fn use_of(span: Span, field: FieldUse) -> Typed {
    let result = Type::Of(field.field_type.family());
    Typed::new(span, result, TypedKind::Field(field))
}
