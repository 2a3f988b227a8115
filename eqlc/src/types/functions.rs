//! The functions: their signatures, and calls checked against them.
//!
//! In: a call as written. Out: a typed call, or what constants make of it. Searches over arrays are in `searches.rs`.

use kestrel_ir::cidr::Cidr;
use kestrel_ir::model::{Arithmetic, Constant, Function};
use kestrel_ir::regex;
use kestrel_schema::Family;

use super::errors::{
    ArgumentNotConstant, ArgumentNotField, MalformedAddress, MalformedRegex, UnknownFunction, WrongArgumentCount,
    WrongArgumentType,
};
use super::tree::{FieldOwner, Type, Typed};
use super::warnings::WildcardInFunction;
use super::{Checker, fold, lists, literals};
use crate::diagnostics::nearest;
use crate::syntax::{Call, Dialect, Expr, Span};

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    Any,
    Text,
    Number,
    Boolean,
    Address,
    Block,
    Pattern,
    Field,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Calls this function.
    Call(Function),
    /// Searches an array.
    Search,
}

/// One function of the language.
#[derive(Debug)]
struct Signature {
    name: &'static str,
    action: Action,
    dialect: Dialect,
    /// The parameters with their names; those from `required` on may be left out.
    parameters: &'static [(&'static str, Argument)],
    required: usize,
    /// Whether the last parameter may be repeated.
    repeats: bool,
    result: Family,
}

use Argument as A;
use Family as F;

const fn elastic(
    name: &'static str,
    function: Function,
    parameters: &'static [(&'static str, Argument)],
    required: usize,
    result: Family,
) -> Signature {
    let action = Action::Call(function);
    Signature { name, action, dialect: Dialect::Elastic, parameters, required, repeats: false, result }
}

const fn repeating(
    name: &'static str,
    action: Action,
    dialect: Dialect,
    parameters: &'static [(&'static str, Argument)],
    result: Family,
) -> Signature {
    Signature { name, action, dialect, parameters, required: parameters.len(), repeats: true, result }
}

const NUMBERS: &[(&str, Argument)] = &[("left", A::Number), ("right", A::Number)];
const SOURCE_AND_PART: &[(&str, Argument)] = &[("source", A::Text), ("part", A::Text)];

/// All functions, by name.
const FUNCTIONS: &[Signature] = &[
    repeating("_arraysearch", Action::Search, Dialect::Endpoint, &[("field", A::Field)], F::Boolean),
    elastic("add", Function::Add, NUMBERS, 2, F::Number),
    repeating(
        "arrayContains",
        Action::Call(Function::ArrayContains),
        Dialect::Endpoint,
        &[("field", A::Field), ("value", A::Any)],
        F::Boolean,
    ),
    Signature {
        name: "arrayCount",
        action: Action::Call(Function::ArrayCount),
        dialect: Dialect::Endpoint,
        parameters: &[("field", A::Field)],
        required: 1,
        repeats: false,
        result: F::Number,
    },
    repeating("arraySearch", Action::Search, Dialect::Endpoint, &[("field", A::Field)], F::Boolean),
    elastic(
        "between",
        Function::Between,
        &[("source", A::Text), ("left", A::Text), ("right", A::Text), ("greedy", A::Boolean)],
        3,
        F::Text,
    ),
    repeating(
        "cidrMatch",
        Action::Call(Function::CidrMatch),
        Dialect::Elastic,
        &[("address", A::Address), ("block", A::Block)],
        F::Boolean,
    ),
    repeating("concat", Action::Call(Function::Concat), Dialect::Elastic, &[("value", A::Any)], F::Text),
    elastic("divide", Function::Divide, NUMBERS, 2, F::Number),
    elastic("endsWith", Function::EndsWith, SOURCE_AND_PART, 2, F::Boolean),
    elastic(
        "indexOf",
        Function::IndexOf,
        &[("source", A::Text), ("part", A::Text), ("start", A::Number)],
        2,
        F::Number,
    ),
    elastic("length", Function::Length, &[("text", A::Text)], 1, F::Number),
    repeating(
        "match",
        Action::Call(Function::Match),
        Dialect::Endpoint,
        &[("source", A::Text), ("regex", A::Pattern)],
        F::Boolean,
    ),
    elastic("modulo", Function::Modulo, NUMBERS, 2, F::Number),
    elastic("multiply", Function::Multiply, NUMBERS, 2, F::Number),
    elastic("number", Function::Number, &[("text", A::Text), ("base", A::Number)], 1, F::Number),
    elastic("startsWith", Function::StartsWith, SOURCE_AND_PART, 2, F::Boolean),
    elastic("string", Function::String, &[("value", A::Any)], 1, F::Text),
    elastic("stringContains", Function::StringContains, SOURCE_AND_PART, 2, F::Boolean),
    elastic(
        "substring",
        Function::Substring,
        &[("source", A::Text), ("start", A::Number), ("end", A::Number)],
        2,
        F::Text,
    ),
    elastic("subtract", Function::Subtract, NUMBERS, 2, F::Number),
    repeating(
        "wildcard",
        Action::Call(Function::Wildcard),
        Dialect::Endpoint,
        &[("source", A::Text), ("pattern", A::Pattern)],
        F::Boolean,
    ),
];

/// The names of all functions, for messages and completion.
pub fn names() -> Vec<&'static str> {
    FUNCTIONS.iter().map(|signature| signature.name).collect()
}

/// How a function is called, `substring(source, start[, end])`, for messages and the editor. Case does not count.
pub fn signature(name: &str) -> Option<String> {
    find(name).map(Signature::text)
}

fn find(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.name.eq_ignore_ascii_case(name))
}

impl Signature {
    fn text(&self) -> String {
        if self.action == Action::Search {
            return format!("{}(field, $name, condition)", self.name);
        }
        let mut text = format!("{}(", self.name);
        for (index, (name, _)) in self.parameters.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            if index >= self.required {
                text.push_str(&format!("[{separator}{name}]"));
            } else {
                text.push_str(&format!("{separator}{name}"));
            }
        }
        if self.repeats {
            text.push_str("..");
        }
        text + ")"
    }

    fn expected_count(&self) -> String {
        let plural = |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
        if self.repeats {
            return format!("at least {}", plural(self.required));
        }
        match self.parameters.len() - self.required {
            0 => plural(self.required),
            _ => format!("{} to {} arguments", self.required, self.parameters.len()),
        }
    }

    fn parameter(&self, index: usize) -> Option<Argument> {
        let last = if self.repeats { self.parameters.last() } else { None };
        self.parameters.get(index).or(last).map(|(_, argument)| *argument)
    }
}

impl Checker<'_> {
    pub(super) fn call(&mut self, span: Span, call: &Call) -> Typed {
        let Some(signature) = find(&call.name.text) else {
            let nearest = nearest(&call.name.text, names()).map(str::to_owned);
            self.report(UnknownFunction { span: call.name.span, name: call.name.text.clone(), nearest });
            // The arguments have their own mistakes.
            call.args.iter().for_each(|argument| drop(self.expression(argument)));
            return Typed::error(span);
        };
        if !self.dialect.includes(signature.dialect) {
            // The parser has reported it.
            return Typed::error(span);
        }
        match signature.action {
            Action::Search => self.array_search(span, call),
            Action::Call(function) => self.checked_call(span, call, signature, function),
        }
    }

    fn checked_call(&mut self, span: Span, call: &Call, signature: &'static Signature, function: Function) -> Typed {
        let found = call.args.len();
        let too_many = !signature.repeats && found > signature.parameters.len();
        let mut fits = found >= signature.required && !too_many;
        if !fits {
            let (expected, text) = (signature.expected_count(), signature.text());
            self.report(WrongArgumentCount { span, name: signature.name, signature: text, expected, found });
        }
        let mut arguments = Vec::with_capacity(found);
        for (index, expr) in call.args.iter().enumerate() {
            let typed = self.expression(expr);
            fits &= !typed.is_error();
            if let Some(wanted) = signature.parameter(index)
                && !typed.is_error()
            {
                fits &= self.argument_fits(signature, index, wanted, expr, &typed);
            }
            arguments.push(typed);
        }
        if !fits {
            return Typed::error(span);
        }
        self.finish_call(span, call, signature, function, arguments)
    }

    /// A call whose arguments fit: arithmetic and patterns become what their operators are.
    fn finish_call(
        &mut self,
        span: Span,
        call: &Call,
        signature: &'static Signature,
        function: Function,
        mut arguments: Vec<Typed>,
    ) -> Typed {
        if let Some(operation) = arithmetic_of(function)
            && arguments.len() == 2
            && let (Some(right), Some(left)) = (arguments.pop(), arguments.pop())
        {
            return self.arithmetic(span, call.name.span, operation, signature.name, left, right);
        }
        if matches!(function, Function::Match | Function::Wildcard) && arguments.len() >= 2 {
            let patterns = arguments.split_off(1);
            let texts = patterns.iter().filter_map(Typed::constant).map(lists::text_of).collect();
            if let Some(subject) = arguments.pop() {
                return lists::pattern_leaf(span, function == Function::Match, true, subject, texts);
            }
        }
        if matches!(function, Function::StartsWith | Function::EndsWith | Function::StringContains)
            && let Some((part, Constant::String(text))) =
                arguments.get(1).and_then(|part| part.constant().map(|text| (part.span, text)))
            && literals::looks_like_pattern(text)
        {
            self.report(WildcardInFunction { span: part, name: signature.name });
        }
        fold::call(span, function, call.fold, arguments, signature.result)
    }

    fn argument_fits(
        &mut self,
        signature: &'static Signature,
        index: usize,
        wanted: Argument,
        expr: &Expr,
        typed: &Typed,
    ) -> bool {
        let name = signature.name;
        if wanted == Argument::Field {
            let plain = typed.field().is_some_and(|field| field.owner == FieldOwner::Event);
            if !plain && !typed.is_null() {
                self.report(ArgumentNotField { span: expr.span, name });
            }
            return plain || typed.is_null();
        }
        if self.refuses_object(typed) {
            return false;
        }
        if matches!(wanted, Argument::Block | Argument::Pattern) {
            let Some(Constant::String(text)) = typed.constant() else {
                let expected =
                    if wanted == Argument::Block { "a block of addresses as a text" } else { "a pattern as a text" };
                self.report(ArgumentNotConstant { span: expr.span, name, expected });
                return false;
            };
            let text = text.clone();
            return match wanted {
                Argument::Block => self.is_block(expr.span, text),
                _ => signature.name != "match" || self.is_regex(expr.span, &text),
            };
        }
        let (fits, expected) = match (wanted, typed.result) {
            (_, Type::Null) => (true, ""),
            // A date is held as a number of nanoseconds, which is no text that anyone wants to see.
            (Argument::Any, Type::Of(family)) => {
                (family != Family::Date, "a text, a number, a boolean, an ip or a version")
            }
            (Argument::Text, Type::Of(family)) => (matches!(family, Family::Text | Family::Version), "a text"),
            (Argument::Number, Type::Of(family)) => (family == Family::Number, "a number"),
            (Argument::Boolean, Type::Of(family)) => (family == Family::Boolean, "a boolean"),
            (Argument::Address, Type::Of(family)) => (matches!(family, Family::Ip | Family::Text), "an ip"),
            _ => (true, ""),
        };
        if !fits {
            let found = self.describe(typed);
            let wants_text = wanted == Argument::Text && matches!(typed.result, Type::Of(Family::Number | Family::Ip));
            let help = wants_text.then(|| "make a text of it with `string(..)`".to_owned());
            let (position, signature) = (index + 1, signature.text());
            self.report(WrongArgumentType { span: expr.span, name, signature, position, expected, found, help });
        }
        fits
    }

    fn is_block(&mut self, span: Span, text: String) -> bool {
        let known = Cidr::parse(&text).is_some();
        if !known {
            let expected = "an address or a block of addresses";
            let help = Some("a block is written `10.0.0.0/8` or `fe80::/10`".to_owned());
            self.report(MalformedAddress { span, text, expected, help });
        }
        known
    }

    fn is_regex(&mut self, span: Span, text: &str) -> bool {
        match regex::compile(text, true) {
            Ok(_) => true,
            Err(error) => {
                self.report(MalformedRegex { span, message: error.message, help: error.help });
                false
            }
        }
    }
}

fn arithmetic_of(function: Function) -> Option<Arithmetic> {
    Some(match function {
        Function::Add => Arithmetic::Add,
        Function::Subtract => Arithmetic::Subtract,
        Function::Multiply => Arithmetic::Multiply,
        Function::Divide => Arithmetic::Divide,
        Function::Modulo => Arithmetic::Modulo,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_signatures_print() {
        let lower: Vec<String> = names().iter().map(|name| name.to_lowercase()).collect();
        assert!(lower.is_sorted(), "{lower:?}");
        assert_eq!(signature("SUBSTRING").as_deref(), Some("substring(source, start[, end])"));
        assert_eq!(signature("cidrmatch").as_deref(), Some("cidrMatch(address, block..)"));
        assert_eq!(signature("nothing"), None);
    }
}
