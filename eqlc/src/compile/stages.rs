//! The stages of a compilation as types: each is made from the one before it and from nothing else.

use kestrel_ir::model::Ir;
use kestrel_ir::passes::{Pass, optimise_watched};
use kestrel_ir::verify::verify;
use kestrel_schema::{FieldType, Schema};

use crate::diagnostics::{Diagnostic, has_errors};
use crate::lints;
use crate::lower::{Lowering, TypedProgram, evidence};
use crate::syntax::{Dialect, Parse, Query, Span, parse};
use crate::types::limit_errors::PackRefused;
use crate::types::tree::TypedQuery;
use crate::types::{CheckOptions, check};

/// A query that was read, possibly with mistakes.
#[derive(Debug, Clone)]
pub struct Parsed<'t> {
    text: &'t str,
    parse: Parse,
}

impl<'t> Parsed<'t> {
    /// Reads a query. This never fails.
    pub fn new(text: &'t str, dialect: Dialect) -> Parsed<'t> {
        Parsed { text, parse: parse(text, dialect) }
    }

    /// The tree.
    pub fn query(&self) -> &Query {
        &self.parse.query
    }

    /// Checks names and types. There is a typed query when no diagnostic is an error; the diagnostics are those of the
    /// parser and of this stage.
    pub fn check(self, options: CheckOptions<'_>) -> (Option<Typed>, Vec<Diagnostic>) {
        let (query, found) = check(&self.parse.query, self.text, options);
        let mut diagnostics = self.parse.diagnostics;
        diagnostics.extend(found);
        let typed =
            query.filter(|_| !has_errors(&diagnostics)).map(|query| Typed { query, program: None, kept: Vec::new() });
        if let Some(typed) = &typed {
            diagnostics.extend(lints::lint(&self.parse.query, typed.query(), self.text, options));
        }
        lints::keep(&mut diagnostics, &lints::allowed_in(self.text, &self.parse.comments));
        (typed, diagnostics)
    }
}

/// A query without mistakes.
#[derive(Debug, Clone)]
pub struct Typed {
    query: TypedQuery,
    program: Option<TypedProgram>,
    /// Fields that the frames hold, read by the query or not.
    kept: Vec<(String, FieldType)>,
}

impl Typed {
    /// The tree.
    pub fn query(&self) -> &TypedQuery {
        &self.query
    }

    /// The same with the hand-written predicate of its rule, checked.
    pub(super) fn with_program(self, program: Option<TypedProgram>) -> Typed {
        Typed { program, ..self }
    }

    /// The same with fields that the frames hold, whether the query reads them or not.
    pub(super) fn with_kept(self, kept: Vec<(String, FieldType)>) -> Typed {
        Typed { kept, ..self }
    }
}

/// The rules in one IR.
#[derive(Debug, Clone)]
pub struct Lowered {
    ir: Ir,
    /// The field of an event's category, which hand-written predicates look up by its name.
    category: String,
    /// Fields that the frames hold, read by a query or not.
    kept: Vec<String>,
}

impl Lowered {
    /// Lowers queries with their ids into one IR, in the order given.
    pub fn new<'q>(schema: &Schema, queries: impl IntoIterator<Item = (&'q str, &'q Typed)>) -> Lowered {
        let (mut lowering, mut kept) = (Lowering::new(schema), Vec::new());
        for (id, typed) in queries {
            lowering.add(id, &typed.query);
            typed.program.iter().for_each(|program| lowering.add_program(program));
            for (name, field_type) in &typed.kept {
                lowering.keep_field(name, *field_type);
                kept.push(name.clone());
            }
        }
        Lowered { ir: lowering.finish(), category: schema.event().category.clone(), kept }
    }

    /// The IR.
    pub fn ir(&self) -> &Ir {
        &self.ir
    }

    /// Makes the IR smaller, without a change to what it answers. The evidence fields, the category and the
    /// fields of suppressions stay in the layout.
    pub fn optimise(self) -> Optimised {
        self.optimise_watched(|_, _, _| {})
    }

    /// The same, and tells of each pass that changes something: the pass, the IR before it and the IR behind it.
    pub fn optimise_watched(self, watch: impl FnMut(Pass, &Ir, &Ir)) -> Optimised {
        let mut keep = evidence::FIELDS.to_vec();
        keep.push(&self.category);
        keep.extend(self.kept.iter().map(String::as_str));
        Optimised { ir: optimise_watched(&self.ir, &keep, watch) }
    }
}

/// The rules in one IR, as small as the passes make it.
#[derive(Debug, Clone)]
pub struct Optimised {
    ir: Ir,
}

impl Optimised {
    /// Checks all that runtimes rely on.
    ///
    /// # Errors
    /// The rules together are too large, or the compiler has made a mistake.
    pub fn verify(self) -> Result<Verified, PackRefused> {
        match verify(&self.ir) {
            Ok(()) => Ok(Verified { ir: self.ir }),
            Err(error) => Err(PackRefused { span: Span::default(), stage: "IR", message: error.to_string() }),
        }
    }
}

/// The rules in one IR that every runtime may rely on.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    ir: Ir,
}

impl Verified {
    /// No rules at all: the evidence fields of the schema, as they stand in every pack.
    pub(super) fn empty(schema: &Schema) -> Verified {
        Verified { ir: Lowering::new(schema).finish() }
    }

    /// The IR.
    pub fn ir(&self) -> &Ir {
        &self.ir
    }

    /// Gives the IR away.
    pub fn into_ir(self) -> Ir {
        self.ir
    }
}
