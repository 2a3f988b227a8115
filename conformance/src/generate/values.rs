//! Value expressions: mostly well typed, so that they are seldom null, sometimes not; every operation and function.

use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Arithmetic, Constant, Function, NodeId, Value, ValueId};
use kestrel_schema::FieldType;

use super::Random;
use super::atoms::string_list;
use super::fields::Fields;
use super::words::{ADDRESSES, BLOCKS, FLOATS, INTEGERS, PATTERNS, REGEXES, TEXTS, VERSIONS, comparison};

/// Where expressions stand: what they may refer to, and the table that they are added to.
pub struct Expressions<'e> {
    /// The fields.
    pub fields: &'e Fields,
    /// The object that is being searched.
    pub object: Option<FieldId>,
    /// Conditions that may stand as a value.
    pub conditions: &'e [NodeId],
    /// How many earlier steps' fields may be read; 0 outside of a join.
    pub steps: u32,
    /// The table.
    pub values: &'e mut Vec<Value>,
}

/// What an expression gives, unless it is null.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    Boolean,
    Address,
    Version,
    Any,
}

impl Expressions<'_> {
    /// An expression that is true, false or null.
    pub fn boolean(&mut self, random: &mut Random, depth: usize) -> ValueId {
        let value = match random.below(16) {
            0..5 => self.comparison(random, depth),
            5 | 6 => {
                let fold = random.once_in(2);
                let (matching, strings) = string_list(random, fold, false);
                let kind = if random.once_in(4) { Kind::Any } else { Kind::Text };
                Value::Matches { matching, fold, input: self.of(random, kind, depth), strings }
            }
            7 => Value::IsNull(self.of(random, Kind::Any, depth)),
            8 => Value::NotNull(self.of(random, Kind::Any, depth)),
            9 if !self.conditions.is_empty() => Value::Condition(random.pick(self.conditions)),
            10 => Value::Field(self.fields.pick(random, self.object, &[FieldType::Boolean])),
            _ => self.boolean_call(random, depth),
        };
        self.push(value)
    }

    fn comparison(&mut self, random: &mut Random, depth: usize) -> Value {
        let kind = random.pick(&[Kind::Number, Kind::Number, Kind::Text, Kind::Version, Kind::Address, Kind::Any]);
        let left = self.of(random, kind, depth);
        let other = if random.once_in(8) { Kind::Any } else { kind };
        let right = if self.steps > 0 && random.once_in(2) {
            let field = self.fields.pick(random, None, types(kind));
            self.push(Value::StepField { step: random.below(self.steps as usize) as u32, field })
        } else {
            self.of(random, other, depth.min(1))
        };
        Value::Compare { comparison: comparison(random), left, right }
    }

    fn boolean_call(&mut self, random: &mut Random, depth: usize) -> Value {
        let fold = random.once_in(2);
        let text = self.of(random, Kind::Text, depth);
        let (function, arguments) = match random.below(7) {
            0..3 => {
                let function = random.pick(&[Function::StartsWith, Function::EndsWith, Function::StringContains]);
                (function, vec![text, self.part(random)])
            }
            3 => {
                let kind = if random.once_in(3) { Kind::Text } else { Kind::Address };
                let mut arguments = vec![self.of(random, kind, depth.min(1))];
                for _ in 0..1 + random.below(3) {
                    arguments.push(self.text_constant(random.pick(&BLOCKS)));
                }
                (Function::CidrMatch, arguments)
            }
            4 => {
                let kind = random.pick(&[Kind::Text, Kind::Text, Kind::Number, Kind::Boolean, Kind::Any]);
                let mut arguments = vec![self.of(random, kind, depth)];
                for _ in 0..1 + random.below(3) {
                    arguments.push(self.of(random, kind, 0));
                }
                (Function::ArrayContains, arguments)
            }
            5 => {
                let patterns: Vec<ValueId> =
                    (0..1 + random.below(3)).map(|_| self.text_constant(random.pick(&PATTERNS))).collect();
                (Function::Wildcard, [vec![text], patterns].concat())
            }
            // Compiled for each event: short ones.
            _ => (Function::Match, vec![text, self.text_constant(random.pick(&REGEXES[..6]))]),
        };
        Value::Call { function, fold, arguments }
    }

    fn of(&mut self, random: &mut Random, kind: Kind, depth: usize) -> ValueId {
        let leaf = depth == 0 || random.once_in(3);
        match kind {
            Kind::Any => {
                let kinds = [Kind::Text, Kind::Number, Kind::Boolean, Kind::Address, Kind::Version];
                match random.below(8) {
                    0 => {
                        let field = self.fields.any(random, self.object);
                        self.push(Value::Field(field))
                    }
                    1 => self.push(Value::Constant(Constant::Null)),
                    _ => {
                        let kind = random.pick(&kinds);
                        self.of(random, kind, depth)
                    }
                }
            }
            Kind::Boolean if leaf => self.leaf(random, kind),
            Kind::Boolean => self.boolean(random, depth - 1),
            Kind::Text if !leaf => self.text_call(random, depth - 1),
            Kind::Number if !leaf => self.number_call(random, depth - 1),
            _ => self.leaf(random, kind),
        }
    }

    /// A field or a constant.
    fn leaf(&mut self, random: &mut Random, kind: Kind) -> ValueId {
        if random.percent(60) {
            let field = self.fields.pick(random, self.object, types(kind));
            return self.push(Value::Field(field));
        }
        let constant = match kind {
            Kind::Number if random.once_in(3) => Constant::Float(random.pick(&FLOATS)),
            Kind::Number if random.once_in(2) => Constant::Integer(random.pick(&INTEGERS)),
            // What lengths, positions and counts are.
            Kind::Number => Constant::Integer(random.below(6) as i64),
            Kind::Boolean => Constant::Boolean(random.once_in(2)),
            Kind::Address => Constant::String(random.pick(&ADDRESSES).to_owned()),
            Kind::Version => Constant::String(random.pick(&VERSIONS).to_owned()),
            Kind::Text | Kind::Any => Constant::String(random.pick(&TEXTS).to_owned()),
        };
        self.push(Value::Constant(constant))
    }

    fn text_call(&mut self, random: &mut Random, depth: usize) -> ValueId {
        let fold = random.once_in(2);
        let text = self.of(random, Kind::Text, depth);
        let (function, arguments) = match random.below(4) {
            0 => {
                let mut arguments = vec![text];
                for _ in 0..1 + random.below(2) {
                    arguments.push(self.push(Value::Constant(Constant::Integer(random.below(12) as i64 - 4))));
                }
                (Function::Substring, arguments)
            }
            1 => {
                let mut arguments = vec![text, self.part(random), self.part(random)];
                if random.once_in(2) {
                    arguments.push(self.push(Value::Constant(Constant::Boolean(random.once_in(2)))));
                }
                (Function::Between, arguments)
            }
            2 => {
                let any = self.of(random, Kind::Any, depth);
                (Function::Concat, vec![text, any])
            }
            _ => (Function::String, vec![self.of(random, Kind::Any, depth)]),
        };
        self.push(Value::Call { function, fold, arguments })
    }

    fn number_call(&mut self, random: &mut Random, depth: usize) -> ValueId {
        let fold = random.once_in(2);
        let value = match random.below(14) {
            0..4 => {
                let operation = random.pick(&[
                    Arithmetic::Add,
                    Arithmetic::Subtract,
                    Arithmetic::Multiply,
                    Arithmetic::Divide,
                    Arithmetic::Modulo,
                ]);
                let (left, right) = (self.of(random, Kind::Number, depth), self.of(random, Kind::Number, 0));
                Value::Arithmetic { operation, left, right }
            }
            4 => Value::Negate(self.of(random, Kind::Number, depth)),
            5..9 => {
                let function = random.pick(&[
                    Function::Add,
                    Function::Subtract,
                    Function::Multiply,
                    Function::Divide,
                    Function::Modulo,
                ]);
                let arguments = vec![self.of(random, Kind::Number, depth), self.of(random, Kind::Number, 0)];
                Value::Call { function, fold, arguments }
            }
            9 => {
                let arguments = vec![self.of(random, Kind::Text, depth)];
                Value::Call { function: Function::Length, fold, arguments }
            }
            10 | 11 => {
                let text = if random.once_in(2) {
                    let arguments = vec![self.of(random, Kind::Number, 0)];
                    self.push(Value::Call { function: Function::String, fold: false, arguments })
                } else {
                    self.of(random, Kind::Text, depth)
                };
                let mut arguments = vec![text];
                if random.once_in(3) {
                    arguments.push(self.push(Value::Constant(Constant::Integer(random.pick(&[2, 10, 16, 36, 99])))));
                }
                Value::Call { function: Function::Number, fold, arguments }
            }
            12 => {
                let mut arguments = vec![self.of(random, Kind::Text, depth), self.part(random)];
                if random.once_in(2) {
                    arguments.push(self.push(Value::Constant(Constant::Integer(random.below(5) as i64 - 1))));
                }
                Value::Call { function: Function::IndexOf, fold, arguments }
            }
            _ => {
                let field = self.fields.any(random, self.object);
                let arguments = vec![self.push(Value::Field(field))];
                Value::Call { function: Function::ArrayCount, fold, arguments }
            }
        };
        self.push(value)
    }

    /// A text that is likely to be a part of another.
    fn part(&mut self, random: &mut Random) -> ValueId {
        if random.once_in(3) {
            return self.of(random, Kind::Text, 0);
        }
        self.text_constant(random.pick(&["", "s", "S", "h", "/", "b", "x", ".", "a", "\u{df}"]))
    }

    fn text_constant(&mut self, text: &str) -> ValueId {
        self.push(Value::Constant(Constant::String(text.to_owned())))
    }

    fn push(&mut self, value: Value) -> ValueId {
        // Equal values are shared, as the compiler shares them.
        let known = self.values.iter().rposition(|known| *known == value);
        let index = known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        ValueId(index as u32)
    }
}

fn types(kind: Kind) -> &'static [FieldType] {
    match kind {
        Kind::Text => &[FieldType::Keyword],
        Kind::Number => &[FieldType::Long, FieldType::Long, FieldType::Double, FieldType::Date],
        Kind::Boolean => &[FieldType::Boolean],
        Kind::Address => &[FieldType::Ip],
        Kind::Version => &[FieldType::Version],
        Kind::Any => &FieldType::ALL,
    }
}
