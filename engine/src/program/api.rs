//! What the host's functions do, for both languages alike.
//!
//! In: a function of the host API and its arguments, as Wasm's and Lua's glue read them from the table. Out: an answer, or
//! that the program's work for the host is used up. A call sees a copy of the frame and nothing else of the engine.

use std::borrow::Cow;
use std::sync::Arc;

use kestrel_core::program::{CaptureValue, Findings};
use kestrel_ir::fold::{equal_folded, fold};
use kestrel_ir::frame::{Frame, FrameValues, Slot};
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::Program;
use kestrel_ir::pattern::wildcard_matches;
use kestrel_ir::regex::{self, Regex};
use kestrel_ir::value::Scalar;
use kestrel_schema::FieldType;
use kestrel_schema::host_api::{HostError, HostFunction, Phase};
use xxhash_rust::xxh64::xxh64;

use super::limits::{
    Limits, MAX_CAPTURES, MAX_COMPILED, MAX_LINES, MAX_MESSAGE, MAX_MESSAGES, MAX_NAME, MAX_PATTERN,
    MAX_PATTERN_MEMORY, MAX_PATTERNS, MAX_VALUE,
};

/// An argument as the glue read it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument<'a> {
    /// A text that is yet to be checked, or bytes.
    Bytes(&'a [u8]),
    /// A handle or a number from 0.
    Count(u32),
    /// True or false.
    Flag(bool),
    /// An integer.
    Integer(i64),
    /// A decimal.
    Float(f64),
}

/// What a function answers.
#[derive(Debug)]
pub(super) enum Answer<'s> {
    Done,
    Error(HostError),
    Flag(bool),
    Count(u32),
    Text(Cow<'s, str>),
    Integer(i64),
    Float(f64),
    Address([u8; 16]),
}

/// The program's work for the host is used up: no answer, and no further call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it used up {}", Exhausted::WHAT)]
pub(super) struct Exhausted;

impl Exhausted {
    pub(super) const WHAT: &'static str = "its calls of the host";
}

/// What all programs of a pack share: the layout, and the fields that have a function of their own.
#[derive(Debug)]
pub(super) struct Surroundings {
    layout: Layout,
    category: Option<FieldId>,
    event_type: Option<FieldId>,
    entity: Option<FieldId>,
}

impl Surroundings {
    pub(super) fn new(layout: &Layout, category: &str) -> Surroundings {
        Surroundings {
            category: layout.lookup(category),
            event_type: layout.lookup("event.type"),
            entity: layout.lookup("process.entity_id"),
            layout: layout.clone(),
        }
    }
}

/// A pattern and what became of it.
#[derive(Debug)]
struct CompiledPattern {
    pattern: String,
    ignore_case: bool,
    regex: Result<Regex, HostError>,
}

/// What the functions of one program work on.
#[derive(Debug)]
pub(super) struct Call {
    surroundings: Arc<Surroundings>,
    fields: Vec<FieldId>,
    limits: Limits,
    phase: Phase,
    work: u64,
    exhausted: bool,
    frame: Vec<u8>,
    /// The patterns of this start, as places in `compiled`.
    patterns: Vec<usize>,
    /// Every pattern that the program ever asked for, compiled once however often it starts. Compiling is work that no
    /// budget of one call could count.
    compiled: Vec<CompiledPattern>,
    pattern_memory: usize,
    findings: Findings,
    lines: Vec<String>,
    log_lines: u64,
}

impl Call {
    pub(super) fn new(surroundings: Arc<Surroundings>, program: &Program, limits: Limits) -> Call {
        Call {
            surroundings,
            fields: program.fields.clone(),
            limits,
            phase: Phase::Init,
            work: 0,
            exhausted: false,
            frame: Vec::new(),
            patterns: Vec::new(),
            compiled: Vec::new(),
            pattern_memory: 0,
            findings: Findings::default(),
            lines: Vec::new(),
            log_lines: 0,
        }
    }

    /// The program starts: what an earlier start left is gone.
    pub(super) fn begin_start(&mut self) {
        self.phase = Phase::Init;
        self.patterns.clear();
        self.renew();
    }

    /// An event comes.
    pub(super) fn begin(&mut self, frame: Frame<'_>) {
        self.frame.clear();
        self.frame.extend_from_slice(frame.bytes());
        self.phase = Phase::Eval;
        self.renew();
        self.findings = Findings::default();
    }

    /// The event matches.
    pub(super) fn begin_capture(&mut self) {
        self.phase = Phase::Capture;
        self.renew();
    }

    fn renew(&mut self) {
        self.work = self.limits.host_work;
        self.exhausted = false;
    }

    pub(super) fn take_findings(&mut self) -> Findings {
        std::mem::take(&mut self.findings)
    }

    pub(super) fn take_lines(&mut self) -> impl Iterator<Item = String> {
        self.lines.drain(..)
    }

    pub(super) fn log_lines(&self) -> u64 {
        self.log_lines
    }

    /// Whether a function refused to answer since the call began.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Exhausted> {
        match self.work.checked_sub(1 + bytes as u64 / 64) {
            Some(left) if !self.exhausted => {
                self.work = left;
                Ok(())
            }
            _ => {
                self.exhausted = true;
                Err(Exhausted)
            }
        }
    }

    /// Calls a function of the host.
    pub(super) fn call(&mut self, function: HostFunction, arguments: &[Argument<'_>]) -> Result<Answer<'_>, Exhausted> {
        use HostFunction as F;
        let bytes = arguments.iter().map(|argument| match argument {
            Argument::Bytes(bytes) => bytes.len(),
            _ => 0,
        });
        self.charge(bytes.sum())?;
        if !function.definition().phases.contains(&self.phase) {
            return Ok(Answer::Error(HostError::WrongPhase));
        }
        // The length of what is read is charged when it is known.
        if let F::EventGetText | F::EventType | F::EventEntity = function {
            let length = match self.read_text(function, arguments) {
                Answer::Text(text) => text.len(),
                _ => 0,
            };
            self.charge(length)?;
            return Ok(self.read_text(function, arguments));
        }
        let arguments = Arguments(arguments);
        let answer = match function {
            F::GlobMatch => {
                let (pattern, subject) = (arguments.bytes(0), arguments.bytes(1));
                // A wildcard pattern may be tried at every character.
                self.charge(pattern.len().saturating_mul(subject.len()))?;
                arguments.glob_match()
            }
            F::StrEqCi => arguments.str_eq_ci(),
            F::HashXx64 => Ok(Answer::Integer(xxh64(arguments.bytes(0), arguments.integer(1) as u64) as i64)),
            F::SchemaResolve => self.resolve(arguments),
            F::EventGetCount => self.values(arguments).map(|values| Answer::Count(values.len() as u32)),
            F::EventGetInteger | F::EventGetFloat | F::EventGetBoolean | F::EventGetIp => {
                self.slot(arguments).and_then(|slot| of_type(function, slot))
            }
            F::EventTime => Ok(Answer::Integer(self.frame().map_or(0, Frame::timestamp))),
            F::ReCompile => self.compile(arguments),
            F::ReMatch => {
                // At worst every part of the pattern is looked at for every character.
                let size = self.pattern(arguments.count(0)).map_or(0, Regex::size);
                self.charge(arguments.bytes(1).len().saturating_mul(size / 1024))?;
                self.matches(arguments)
            }
            F::CapturePutText | F::CapturePutInteger | F::CapturePutFloat | F::CapturePutBoolean => {
                self.put(function, arguments)
            }
            F::AlertEmit => self.emit(arguments),
            F::ActionBlock => {
                self.findings.block_requested = true;
                Ok(Answer::Done)
            }
            F::Log => self.log(arguments),
            F::EventGetText | F::EventType | F::EventEntity => Err(HostError::Unknown),
        };
        Ok(answer.unwrap_or_else(Answer::Error))
    }

    fn frame(&self) -> Option<Frame<'_>> {
        Frame::new(&self.frame)
    }

    fn read_text(&self, function: HostFunction, arguments: &[Argument<'_>]) -> Answer<'_> {
        let surroundings = &self.surroundings;
        let first = |field: Option<FieldId>| {
            let slot = self.frame()?.values(&surroundings.layout, field?).get(0)?;
            text_of(slot, surroundings.layout.field_type(field?))
        };
        let text = match function {
            HostFunction::EventType => {
                let part = |field| first(field).unwrap_or_default();
                Ok(Cow::Owned(format!("{}/{}", part(surroundings.category), part(surroundings.event_type))))
            }
            HostFunction::EventEntity => first(surroundings.entity).ok_or(HostError::Missing),
            _ => {
                let arguments = Arguments(arguments);
                self.slot(arguments).and_then(|slot| {
                    let field_type =
                        self.field(arguments).map_or(FieldType::Keyword, |id| surroundings.layout.field_type(id));
                    text_of(slot, field_type).ok_or(HostError::WrongType)
                })
            }
        };
        text.map_or_else(Answer::Error, Answer::Text)
    }

    fn field(&self, arguments: Arguments<'_>) -> Result<FieldId, HostError> {
        self.fields.get(arguments.count(0) as usize).copied().ok_or(HostError::Unknown)
    }

    fn values(&self, arguments: Arguments<'_>) -> Result<FrameValues<'_>, HostError> {
        let field = self.field(arguments)?;
        let frame = self.frame().ok_or(HostError::Missing)?;
        Ok(frame.values(&self.surroundings.layout, field))
    }

    fn slot(&self, arguments: Arguments<'_>) -> Result<Slot<'_>, HostError> {
        self.values(arguments)?.get(arguments.count(1) as usize).ok_or(HostError::Missing)
    }

    fn resolve(&self, arguments: Arguments<'_>) -> Result<Answer<'static>, HostError> {
        let name = arguments.text(0)?;
        let layout = &self.surroundings.layout;
        let found = self.fields.iter().position(|field| layout.name(*field) == name);
        found.map(|handle| Answer::Count(handle as u32)).ok_or(HostError::Unknown)
    }

    fn compile(&mut self, arguments: Arguments<'_>) -> Result<Answer<'static>, HostError> {
        let (pattern, ignore_case) = (arguments.text(0)?, arguments.flag(1));
        if pattern.len() > MAX_PATTERN || self.patterns.len() >= MAX_PATTERNS {
            return Err(HostError::TooLarge);
        }
        let known = |known: &CompiledPattern| known.ignore_case == ignore_case && known.pattern == pattern;
        let place = match self.compiled.iter().position(known) {
            Some(place) => place,
            None if self.compiled.len() >= MAX_COMPILED => return Err(HostError::TooLarge),
            None => {
                let regex = regex::compile(pattern, ignore_case).map_err(|_| HostError::Invalid).and_then(|regex| {
                    let memory = self.pattern_memory.saturating_add(regex.size());
                    if memory > MAX_PATTERN_MEMORY {
                        return Err(HostError::TooLarge);
                    }
                    self.pattern_memory = memory;
                    Ok(regex)
                });
                self.compiled.push(CompiledPattern { pattern: pattern.to_owned(), ignore_case, regex });
                self.compiled.len() - 1
            }
        };
        match self.compiled.get(place).map(|known| &known.regex) {
            Some(Err(error)) => Err(*error),
            _ => {
                self.patterns.push(place);
                Ok(Answer::Count(self.patterns.len() as u32 - 1))
            }
        }
    }

    /// A pattern of this start.
    fn pattern(&self, number: u32) -> Option<&Regex> {
        let place = self.patterns.get(number as usize)?;
        self.compiled.get(*place)?.regex.as_ref().ok()
    }

    fn matches(&self, arguments: Arguments<'_>) -> Result<Answer<'static>, HostError> {
        let pattern = self.pattern(arguments.count(0)).ok_or(HostError::Unknown)?;
        Ok(Answer::Flag(pattern.is_match(arguments.text(1)?)))
    }

    fn put(&mut self, function: HostFunction, arguments: Arguments<'_>) -> Result<Answer<'static>, HostError> {
        let name = arguments.text(0)?;
        let value = match function {
            HostFunction::CapturePutInteger => CaptureValue::Integer(arguments.integer(1)),
            HostFunction::CapturePutBoolean => CaptureValue::Boolean(arguments.flag(1)),
            HostFunction::CapturePutFloat => {
                let value = arguments.float(1);
                if !value.is_finite() {
                    return Err(HostError::Invalid);
                }
                CaptureValue::Float(value)
            }
            _ => {
                let text = arguments.text(1)?;
                if text.len() > MAX_VALUE {
                    return Err(HostError::TooLarge);
                }
                CaptureValue::Text(text.to_owned())
            }
        };
        if name.is_empty() {
            return Err(HostError::Invalid);
        }
        let captures = &mut self.findings.captures;
        let full = captures.len() >= MAX_CAPTURES || name.len() > MAX_NAME;
        match captures.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None if full => return Err(HostError::TooLarge),
            None => captures.push((name.to_owned(), value)),
        }
        Ok(Answer::Done)
    }

    fn emit(&mut self, arguments: Arguments<'_>) -> Result<Answer<'static>, HostError> {
        let message = arguments.text(0)?;
        if message.len() > MAX_MESSAGE || self.findings.messages.len() >= MAX_MESSAGES {
            return Err(HostError::TooLarge);
        }
        self.findings.messages.push(message.to_owned());
        Ok(Answer::Done)
    }

    fn log(&mut self, arguments: Arguments<'_>) -> Result<Answer<'static>, HostError> {
        let message = arguments.text(0)?;
        if message.len() > MAX_MESSAGE {
            return Err(HostError::TooLarge);
        }
        self.log_lines += 1;
        if self.log_lines <= MAX_LINES {
            // A terminal shows it: control characters are shown, not sent.
            self.lines.push(message.chars().flat_map(printable).collect());
        }
        Ok(Answer::Done)
    }
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = (!character.is_control()).then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

fn text_of(slot: Slot<'_>, field_type: FieldType) -> Option<Cow<'_, str>> {
    match slot {
        Slot::Text(text) => Some(Cow::Borrowed(text)),
        other => Scalar::from_slot(other, field_type).to_owned_text().map(Cow::Owned),
    }
}

fn of_type(function: HostFunction, slot: Slot<'_>) -> Result<Answer<'static>, HostError> {
    Ok(match (function, slot) {
        (HostFunction::EventGetInteger, Slot::Integer(value)) => Answer::Integer(value),
        (HostFunction::EventGetFloat, Slot::Float(value)) => Answer::Float(value),
        (HostFunction::EventGetFloat, Slot::Integer(value)) => Answer::Float(value as f64),
        (HostFunction::EventGetBoolean, Slot::Boolean(value)) => Answer::Flag(value),
        (HostFunction::EventGetIp, Slot::Ip(octets)) => Answer::Address(octets),
        _ => return Err(HostError::WrongType),
    })
}

/// The arguments of one call. The glue reads them by the table, so that their number and types are right; what does not
/// fit is as nothing.
#[derive(Debug, Clone, Copy)]
struct Arguments<'a>(&'a [Argument<'a>]);

impl<'a> Arguments<'a> {
    fn bytes(self, index: usize) -> &'a [u8] {
        match self.0.get(index) {
            Some(Argument::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    fn text(self, index: usize) -> Result<&'a str, HostError> {
        std::str::from_utf8(self.bytes(index)).map_err(|_| HostError::Invalid)
    }

    fn count(self, index: usize) -> u32 {
        match self.0.get(index) {
            Some(Argument::Count(count)) => *count,
            _ => u32::MAX,
        }
    }

    fn flag(self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Argument::Flag(true)))
    }

    fn integer(self, index: usize) -> i64 {
        match self.0.get(index) {
            Some(Argument::Integer(value)) => *value,
            _ => 0,
        }
    }

    fn float(self, index: usize) -> f64 {
        match self.0.get(index) {
            Some(Argument::Float(value)) => *value,
            _ => f64::NAN,
        }
    }

    fn glob_match(self) -> Result<Answer<'static>, HostError> {
        let (pattern, subject) = (self.text(0)?, self.text(1)?);
        if pattern.len() > MAX_PATTERN {
            return Err(HostError::TooLarge);
        }
        Ok(Answer::Flag(match self.flag(2) {
            true => wildcard_matches(&fold(pattern), &fold(subject)),
            false => wildcard_matches(pattern, subject),
        }))
    }

    fn str_eq_ci(self) -> Result<Answer<'static>, HostError> {
        Ok(Answer::Flag(equal_folded(self.text(0)?, self.text(1)?)))
    }
}
