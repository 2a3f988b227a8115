//! A tree as a document.
//!
//! In: a query, and the source with its comments where there is one. Out: a [`Doc`]. Literals are taken from the source
//! where there is one, so that `1.50` stays `1.50`. Parentheses are put in where a tree that was not parsed needs them.

use super::comments::Comments;
use super::layout::Doc;
use crate::syntax::token::Keyword;
use crate::syntax::{
    Call, Category, Comment, Expr, ExprKind, Field, Filter, Form, Key, Literal, Pipe, Query, Segment, Span, Term,
    escape, raw,
};

/// How tightly the kinds of expression bind.
mod level {
    pub(super) const OR: u8 = 0;
    pub(super) const AND: u8 = 1;
    pub(super) const NOT: u8 = 2;
    pub(super) const COMPARE: u8 = 3;
    pub(super) const SUM: u8 = 4;
    pub(super) const PRODUCT: u8 = 5;
    pub(super) const UNARY: u8 = 6;
    pub(super) const PREDICATE: u8 = 7;
    pub(super) const PRIMARY: u8 = 8;
}

/// Makes documents of nodes.
pub(super) struct Printer<'a> {
    source: Option<&'a str>,
    comments: Comments<'a>,
}

impl<'a> Printer<'a> {
    /// With the source, comments and literals are kept as written.
    pub(super) fn new(source: Option<&'a str>, comments: &'a [Comment]) -> Self {
        Self { source, comments: Comments::new(source.unwrap_or(""), comments) }
    }

    /// The whole query with the comments behind it.
    pub(super) fn query(&mut self, query: &Query) -> Doc {
        let mut docs = vec![self.comments.before(query.span.start)];
        match &query.form {
            Form::Event(filter) => docs.push(self.filter(filter).group()),
            Form::Sequence(sequence) => {
                docs.push(self.leaf(head(sequence.span, 8), "sequence"));
                docs.push(self.keys(&sequence.keys));
                if let Some(maxspan) = &sequence.maxspan {
                    docs.push(Doc::text(" with maxspan="));
                    docs.push(self.leaf(maxspan.span, &maxspan.text));
                }
                docs.push(self.terms(&sequence.terms, sequence.until.as_deref()));
            }
            Form::Sample(sample) => {
                docs.push(self.leaf(head(sample.span, 6), "sample"));
                docs.push(self.keys(&sample.keys));
                docs.push(self.terms(&sample.terms, None));
            }
            Form::Join(join) => {
                docs.push(self.leaf(head(join.span, 4), "join"));
                docs.push(self.keys(&join.keys));
                docs.push(self.terms(&join.terms, join.until.as_deref()));
            }
            Form::Error(_) => {}
        }
        for pipe in &query.pipes {
            docs.push(self.comments.trailing(pipe.span.start));
            docs.push(Doc::HardLine);
            docs.push(self.pipe(pipe));
        }
        if self.comments.any_left() {
            docs.push(self.comments.trailing(usize::MAX));
            docs.push(self.comments.before(usize::MAX));
        }
        Doc::Concat(docs)
    }

    fn leaf(&mut self, span: Span, text: &str) -> Doc {
        let before = self.comments.before(span.start);
        self.comments.printed(span);
        Doc::Concat(vec![before, Doc::text(text)])
    }

    fn keys(&mut self, keys: &[Key]) -> Doc {
        let mut docs = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            docs.push(Doc::text(if index == 0 { " by " } else { ", " }));
            docs.push(self.field(&key.field));
        }
        Doc::Concat(docs)
    }

    fn terms(&mut self, terms: &[Term], until: Option<&Term>) -> Doc {
        let mut docs = Vec::new();
        for term in terms {
            docs.push(self.comments.trailing(term.span.start));
            docs.push(Doc::Concat(vec![Doc::HardLine, self.term(term)]).nest());
        }
        if let Some(until) = until {
            docs.push(self.comments.trailing(until.span.start));
            docs.push(Doc::HardLine);
            docs.push(self.comments.before(until.span.start));
            docs.push(Doc::text("until "));
            docs.push(self.term(until));
        }
        Doc::Concat(docs)
    }

    fn term(&mut self, term: &Term) -> Doc {
        let open = if term.missing { "![" } else { "[" };
        let mut docs = vec![self.leaf(head(term.span, open.len()), open)];
        docs.push(self.filter(&term.filter).group());
        docs.push(self.comments.before_close());
        docs.push(Doc::text("]"));
        docs.push(self.keys(&term.keys));
        if let Some(runs) = &term.runs {
            docs.push(Doc::text(" with runs="));
            docs.push(self.leaf(runs.span, &runs.count.to_string()));
        }
        if let Some(alias) = &term.alias {
            docs.push(Doc::text(" as "));
            docs.push(self.leaf(alias.span, &name(&alias.text)));
        }
        Doc::Concat(docs)
    }

    fn filter(&mut self, filter: &Filter) -> Doc {
        let category = category(&filter.category);
        let category = self.leaf(filter.category.span, &category);
        let trailing = self.comments.trailing(filter.condition.span.start);
        let condition = self.expr(&filter.condition, level::OR);
        Doc::Concat(vec![category, Doc::text(" where"), trailing, Doc::Concat(vec![Doc::Line, condition]).nest()])
    }

    fn pipe(&mut self, pipe: &Pipe) -> Doc {
        let mut docs = vec![self.comments.before(pipe.span.start), Doc::text("| ")];
        docs.push(self.leaf(pipe.name.span, &name(&pipe.name.text)));
        for (index, arg) in pipe.args.iter().enumerate() {
            docs.push(Doc::text(if index == 0 { " " } else { ", " }));
            docs.push(self.expr(arg, level::OR).group());
        }
        Doc::Concat(docs)
    }

    /// The expression, in parentheses if it binds less tightly than `needed`.
    fn expr(&mut self, expr: &Expr, needed: u8) -> Doc {
        if level_of(expr) < needed {
            return self.parenthesised(expr);
        }
        match &expr.kind {
            ExprKind::Or(operands) => self.row(operands, " or", level::AND),
            ExprKind::And(operands) => self.row(operands, " and", level::NOT),
            ExprKind::Not(inner) => {
                let not = self.leaf(head(expr.span, 3), "not ");
                Doc::Concat(vec![not, self.expr(inner, level::NOT)])
            }
            ExprKind::Compare { op, left, right, .. } => self.binary(left, level::SUM, op.text(), right, level::SUM),
            ExprKind::Arithmetic { op, left, right, .. } => {
                let own = level_of(expr);
                self.binary(left, own, op.text(), right, own + 1)
            }
            ExprKind::Negate(inner) | ExprKind::Plus(inner) => {
                let sign = if matches!(expr.kind, ExprKind::Negate(_)) { "-" } else { "+" };
                let sign = self.leaf(head(expr.span, 1), sign);
                Doc::Concat(vec![sign, self.expr(inner, level::UNARY)])
            }
            ExprKind::In { negated, fold, subject, list, .. } => {
                let not = if *negated { " not" } else { "" };
                let fold = if *fold { "~" } else { "" };
                let subject = self.expr(subject, level::PRIMARY);
                Doc::Concat(vec![subject, Doc::text(format!("{not} in{fold} ")), self.list(list, true)])
            }
            ExprKind::Match { op, subject, patterns, listed, .. } => {
                let subject = self.expr(subject, level::PRIMARY);
                let operator = Doc::text(format!(" {} ", op.text()));
                let patterns = match patterns.as_slice() {
                    [pattern] if !listed => self.expr(pattern, level::PRIMARY),
                    patterns => self.list(patterns, true),
                };
                Doc::Concat(vec![subject, operator, patterns])
            }
            ExprKind::Field(field) => self.field(field),
            ExprKind::Variable(variable) => {
                let mut text = format!("${}", variable.name.text);
                segments(&variable.path, &mut text);
                self.leaf(expr.span, &text)
            }
            ExprKind::Call(Call { name, fold, args }) => {
                let text = format!("{}{}", name.text, if *fold { "~" } else { "" });
                let name = self.leaf(name.span, &text);
                Doc::Concat(vec![name, self.list(args, false)])
            }
            ExprKind::Literal(literal) => {
                let written = self.source.map(|source| expr.span.text(source)).filter(|text| !text.is_empty());
                let text = written.map_or_else(|| literal_text(literal), str::to_string);
                self.leaf(expr.span, &text)
            }
            ExprKind::Lineage { relation, filter } => {
                let open = format!("{} of [", relation.text());
                let open = self.leaf(head(expr.span, relation.text().len()), &open);
                let filter = self.filter(filter).group();
                Doc::Concat(vec![open, filter, self.comments.before_close(), Doc::text("]")])
            }
            ExprKind::Paren(inner) => self.parenthesised(inner),
            ExprKind::Error => Doc::text(self.source.map_or("", |source| expr.span.text(source))),
        }
    }

    fn binary(&mut self, left: &Expr, left_level: u8, op: &str, right: &Expr, right_level: u8) -> Doc {
        let left = self.expr(left, left_level);
        let op = Doc::text(format!(" {op} "));
        Doc::Concat(vec![left, op, self.expr(right, right_level)])
    }

    /// `a and b and c`, one operand a line where they do not fit on one.
    fn row(&mut self, operands: &[Expr], word: &str, needed: u8) -> Doc {
        let mut docs = Vec::new();
        for (index, operand) in operands.iter().enumerate() {
            // `and` inside `or` is a group of its own, set off where it breaks.
            let doc = self.expr(operand, needed);
            docs.push(if matches!(operand.kind, ExprKind::And(_)) { doc.nest().group() } else { doc });
            if let Some(next) = operands.get(index + 1) {
                docs.push(Doc::text(word));
                docs.push(self.comments.trailing(next.span.start));
                docs.push(Doc::Line);
            }
        }
        Doc::Concat(docs)
    }

    fn parenthesised(&mut self, inner: &Expr) -> Doc {
        // The bracket stands before the expression by at least one byte; comments behind it belong to the expression.
        let inner = Doc::Concat(vec![Doc::SoftLine, self.expr(inner, level::OR), self.comments.before_close()]).nest();
        Doc::Concat(vec![Doc::text("("), inner, Doc::SoftLine, Doc::text(")")]).group()
    }

    fn list(&mut self, values: &[Expr], fill: bool) -> Doc {
        if values.is_empty() {
            return Doc::text("()");
        }
        let mut items = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let mut docs = vec![self.expr(value, level::OR)];
            match values.get(index + 1) {
                Some(next) => {
                    docs.push(Doc::text(","));
                    docs.push(self.comments.trailing(next.span.start));
                }
                None => docs.push(self.comments.before_close()),
            }
            let item = Doc::Concat(docs);
            items.push(if matches!(value.kind, ExprKind::Literal(_)) { item } else { item.group() });
        }
        let items = if fill {
            Doc::Fill(items)
        } else {
            let mut docs = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    docs.push(Doc::Line);
                }
                docs.push(item);
            }
            Doc::Concat(docs)
        };
        let inner = Doc::Concat(vec![Doc::SoftLine, items]).nest();
        Doc::Concat(vec![Doc::text("("), inner, Doc::SoftLine, Doc::text(")")]).group()
    }

    fn field(&mut self, field: &Field) -> Doc {
        let mut text = String::from(if field.optional { "?" } else { "" });
        segments(&field.segments, &mut text);
        self.leaf(field.span, &text)
    }
}

/// Where the first word of a node stands.
fn head(span: Span, length: usize) -> Span {
    Span::new(span.start, span.start + length)
}

fn level_of(expr: &Expr) -> u8 {
    use crate::syntax::ArithmeticOp::{Add, Subtract};
    match &expr.kind {
        ExprKind::Or(_) => level::OR,
        ExprKind::And(_) => level::AND,
        ExprKind::Not(_) => level::NOT,
        ExprKind::Compare { .. } => level::COMPARE,
        ExprKind::Arithmetic { op: Add | Subtract, .. } => level::SUM,
        ExprKind::Arithmetic { .. } => level::PRODUCT,
        ExprKind::Negate(_) | ExprKind::Plus(_) => level::UNARY,
        ExprKind::In { .. } | ExprKind::Match { .. } => level::PREDICATE,
        _ => level::PRIMARY,
    }
}

fn segments(parts: &[Segment], text: &mut String) {
    for part in parts {
        match part {
            Segment::Name(part) => {
                if !text.is_empty() && text != "?" {
                    text.push('.');
                }
                text.push_str(&name(&part.text));
            }
            Segment::Index { index, .. } => text.push_str(&format!("[{index}]")),
        }
    }
}

fn is_plain(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || first == '@');
    first && characters.all(|next| next.is_ascii_alphanumeric() || next == '_') && Keyword::of(text).is_none()
}

fn name(text: &str) -> String {
    if is_plain(text) { text.to_string() } else { format!("`{}`", text.replace('`', "``")) }
}

fn category(category: &Category) -> String {
    match &category.name {
        None => "any".to_string(),
        Some(text) if is_plain(text) => text.clone(),
        Some(text) => escape(text),
    }
}

fn literal_text(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".to_string(),
        Literal::Bool(value) => value.to_string(),
        Literal::Integer(value) => value.to_string(),
        Literal::Float(value) => format!("{value:?}"),
        Literal::String { value, raw: true } => raw(value),
        Literal::String { value, raw: false } => escape(value),
    }
}
