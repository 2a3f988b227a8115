//! The host API as static tables. Written by `cargo xtask host-api` from host_api.toml: do not edit.

use super::{ExportDef, FunctionDef, Parameter, ParameterType, Phase, ResultType};
use serde::{Deserialize, Serialize};

/// The version of the host API.
pub const VERSION: u32 = 1;
/// The module that its functions are imported from.
pub const MODULE: &str = "kestrel";

/// What a rule declares that its predicate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Capability {
    /// Reads the event's fields, those that the rule lists.
    Fields,
    /// Asks for the event's kind, time and process.
    Event,
    /// Compiles regular expressions and matches them.
    Regex,
    /// Adds values to the alert.
    Captures,
    /// Adds messages to the alert.
    Alert,
    /// Asks for the event to be blocked. The alert says so; nothing is blocked in this version.
    Block,
    /// Writes lines for the predicate's author to the engine's standard error.
    Log,
    /// Keeps its memory from one event to the next. Without it every event meets the predicate as new.
    State,
}

#[rustfmt::skip]
impl Capability {
    /// All of them.
    pub const ALL: [Capability; 8] = [
        Capability::Fields,
        Capability::Event,
        Capability::Regex,
        Capability::Captures,
        Capability::Alert,
        Capability::Block,
        Capability::Log,
        Capability::State,
    ];

    /// The word of a rule.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Fields => "fields",
            Capability::Event => "event",
            Capability::Regex => "regex",
            Capability::Captures => "captures",
            Capability::Alert => "alert",
            Capability::Block => "block",
            Capability::Log => "log",
            Capability::State => "state",
        }
    }
}

/// What a function answers when it has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostError {
    /// There is no value: the field is missing, or has fewer values.
    Missing,
    /// The field is of another type.
    WrongType,
    /// No such handle, or a field that the rule does not list.
    Unknown,
    /// The function cannot be called from here.
    WrongPhase,
    /// A text is not UTF-8, or a pattern is malformed.
    Invalid,
    /// A text is too long, or there are too many of something.
    TooLarge,
}

#[rustfmt::skip]
impl HostError {
    /// The number that Wasm sees.
    pub fn code(self) -> i32 {
        match self {
            HostError::Missing => -1,
            HostError::WrongType => -2,
            HostError::Unknown => -3,
            HostError::WrongPhase => -4,
            HostError::Invalid => -5,
            HostError::TooLarge => -6,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            HostError::Missing => "missing",
            HostError::WrongType => "wrong_type",
            HostError::Unknown => "unknown",
            HostError::WrongPhase => "wrong_phase",
            HostError::Invalid => "invalid",
            HostError::TooLarge => "too_large",
        }
    }
}

/// The host's functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostFunction {
    /// The handle of a field that the rule lists in `fields`.
    SchemaResolve,
    /// How many values the field has; 0 when it is missing.
    EventGetCount,
    /// One value as text. A field of any type has one: numbers in decimal digits, addresses as they are written.
    EventGetText,
    /// One value of a `long`, or of a `date` in nanoseconds since 1970.
    EventGetInteger,
    /// One value of a `double` or of a `long`.
    EventGetFloat,
    /// One value of a `boolean`.
    EventGetBoolean,
    /// One value of an `ip`: 16 octets, IPv4 mapped into IPv6.
    EventGetIp,
    /// What the event is: its category and its type with a slash between, such as `process/start`; a part that is missing is empty.
    EventType,
    /// The id of the event's process, `process.entity_id`.
    EventEntity,
    /// The event's time in nanoseconds since 1970; 0 before the first event. There is no other clock.
    EventTime,
    /// Compiles a regular expression of the language (`regex`), which matches whole texts.
    ReCompile,
    /// Whether a compiled expression matches the whole text.
    ReMatch,
    /// Whether a wildcard pattern matches the whole text: `*` is any run of characters, `?` is one.
    GlobMatch,
    /// Whether two texts are equal but for case, as `==` with `~` has it (Unicode simple folding).
    StrEqCi,
    /// xxHash64 of some bytes, for tables and filters. In Lua a text of 16 hexadecimal digits, because its numbers do not hold 64 bits.
    HashXx64,
    /// Adds a text to the alert's `captures`. A name that is there already keeps its place and takes the new value.
    CapturePutText,
    /// The same with an integer.
    CapturePutInteger,
    /// The same with a decimal. What is no number or infinite is `invalid`.
    CapturePutFloat,
    /// The same with a truth value.
    CapturePutBoolean,
    /// Adds a message to the alert, if there is one in the end.
    AlertEmit,
    /// Asks for the event to be blocked. The alert, if there is one in the end, says that it was asked.
    ActionBlock,
    /// Writes a line for the author of the predicate. The engine keeps the first lines of a run and counts the rest.
    Log,
}

#[rustfmt::skip]
impl HostFunction {
    /// All of them.
    pub const ALL: [HostFunction; 22] = [
        HostFunction::SchemaResolve,
        HostFunction::EventGetCount,
        HostFunction::EventGetText,
        HostFunction::EventGetInteger,
        HostFunction::EventGetFloat,
        HostFunction::EventGetBoolean,
        HostFunction::EventGetIp,
        HostFunction::EventType,
        HostFunction::EventEntity,
        HostFunction::EventTime,
        HostFunction::ReCompile,
        HostFunction::ReMatch,
        HostFunction::GlobMatch,
        HostFunction::StrEqCi,
        HostFunction::HashXx64,
        HostFunction::CapturePutText,
        HostFunction::CapturePutInteger,
        HostFunction::CapturePutFloat,
        HostFunction::CapturePutBoolean,
        HostFunction::AlertEmit,
        HostFunction::ActionBlock,
        HostFunction::Log,
    ];

    /// Its entry in the table.
    pub fn definition(self) -> &'static FunctionDef {
        match self {
            HostFunction::SchemaResolve => &FunctionDef {
                name: "schema_resolve",
                capability: Some(Capability::Fields),
                phases: &[Phase::Init],
                parameters: &[Parameter { name: "name", parameter_type: ParameterType::Text }],
                result: ResultType::Handle,
            },
            HostFunction::EventGetCount => &FunctionDef {
                name: "event_get_count",
                capability: Some(Capability::Fields),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "field", parameter_type: ParameterType::Handle }],
                result: ResultType::Count,
            },
            HostFunction::EventGetText => &FunctionDef {
                name: "event_get_text",
                capability: Some(Capability::Fields),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "field", parameter_type: ParameterType::Handle }, Parameter { name: "index", parameter_type: ParameterType::Count }, Parameter { name: "buffer", parameter_type: ParameterType::Buffer }],
                result: ResultType::Text,
            },
            HostFunction::EventGetInteger => &FunctionDef {
                name: "event_get_integer",
                capability: Some(Capability::Fields),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "field", parameter_type: ParameterType::Handle }, Parameter { name: "index", parameter_type: ParameterType::Count }],
                result: ResultType::Integer,
            },
            HostFunction::EventGetFloat => &FunctionDef {
                name: "event_get_float",
                capability: Some(Capability::Fields),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "field", parameter_type: ParameterType::Handle }, Parameter { name: "index", parameter_type: ParameterType::Count }],
                result: ResultType::Float,
            },
            HostFunction::EventGetBoolean => &FunctionDef {
                name: "event_get_boolean",
                capability: Some(Capability::Fields),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "field", parameter_type: ParameterType::Handle }, Parameter { name: "index", parameter_type: ParameterType::Count }],
                result: ResultType::Flag,
            },
            HostFunction::EventGetIp => &FunctionDef {
                name: "event_get_ip",
                capability: Some(Capability::Fields),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "field", parameter_type: ParameterType::Handle }, Parameter { name: "index", parameter_type: ParameterType::Count }],
                result: ResultType::Address,
            },
            HostFunction::EventType => &FunctionDef {
                name: "event_type",
                capability: Some(Capability::Event),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "buffer", parameter_type: ParameterType::Buffer }],
                result: ResultType::Text,
            },
            HostFunction::EventEntity => &FunctionDef {
                name: "event_entity",
                capability: Some(Capability::Event),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "buffer", parameter_type: ParameterType::Buffer }],
                result: ResultType::Text,
            },
            HostFunction::EventTime => &FunctionDef {
                name: "event_time",
                capability: Some(Capability::Event),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[],
                result: ResultType::PlainInteger,
            },
            HostFunction::ReCompile => &FunctionDef {
                name: "re_compile",
                capability: Some(Capability::Regex),
                phases: &[Phase::Init],
                parameters: &[Parameter { name: "pattern", parameter_type: ParameterType::Text }, Parameter { name: "ignore_case", parameter_type: ParameterType::Flag }],
                result: ResultType::Handle,
            },
            HostFunction::ReMatch => &FunctionDef {
                name: "re_match",
                capability: Some(Capability::Regex),
                phases: &[Phase::Init, Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "pattern", parameter_type: ParameterType::Handle }, Parameter { name: "subject", parameter_type: ParameterType::Text }],
                result: ResultType::Flag,
            },
            HostFunction::GlobMatch => &FunctionDef {
                name: "glob_match",
                capability: None,
                phases: &[Phase::Init, Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "pattern", parameter_type: ParameterType::Text }, Parameter { name: "subject", parameter_type: ParameterType::Text }, Parameter { name: "ignore_case", parameter_type: ParameterType::Flag }],
                result: ResultType::Flag,
            },
            HostFunction::StrEqCi => &FunctionDef {
                name: "str_eq_ci",
                capability: None,
                phases: &[Phase::Init, Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "left", parameter_type: ParameterType::Text }, Parameter { name: "right", parameter_type: ParameterType::Text }],
                result: ResultType::Flag,
            },
            HostFunction::HashXx64 => &FunctionDef {
                name: "hash_xx64",
                capability: None,
                phases: &[Phase::Init, Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "data", parameter_type: ParameterType::Bytes }, Parameter { name: "seed", parameter_type: ParameterType::Integer }],
                result: ResultType::PlainInteger,
            },
            HostFunction::CapturePutText => &FunctionDef {
                name: "capture_put_text",
                capability: Some(Capability::Captures),
                phases: &[Phase::Capture],
                parameters: &[Parameter { name: "name", parameter_type: ParameterType::Text }, Parameter { name: "value", parameter_type: ParameterType::Text }],
                result: ResultType::Status,
            },
            HostFunction::CapturePutInteger => &FunctionDef {
                name: "capture_put_integer",
                capability: Some(Capability::Captures),
                phases: &[Phase::Capture],
                parameters: &[Parameter { name: "name", parameter_type: ParameterType::Text }, Parameter { name: "value", parameter_type: ParameterType::Integer }],
                result: ResultType::Status,
            },
            HostFunction::CapturePutFloat => &FunctionDef {
                name: "capture_put_float",
                capability: Some(Capability::Captures),
                phases: &[Phase::Capture],
                parameters: &[Parameter { name: "name", parameter_type: ParameterType::Text }, Parameter { name: "value", parameter_type: ParameterType::Float }],
                result: ResultType::Status,
            },
            HostFunction::CapturePutBoolean => &FunctionDef {
                name: "capture_put_boolean",
                capability: Some(Capability::Captures),
                phases: &[Phase::Capture],
                parameters: &[Parameter { name: "name", parameter_type: ParameterType::Text }, Parameter { name: "value", parameter_type: ParameterType::Flag }],
                result: ResultType::Status,
            },
            HostFunction::AlertEmit => &FunctionDef {
                name: "alert_emit",
                capability: Some(Capability::Alert),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "message", parameter_type: ParameterType::Text }],
                result: ResultType::Status,
            },
            HostFunction::ActionBlock => &FunctionDef {
                name: "action_block",
                capability: Some(Capability::Block),
                phases: &[Phase::Eval, Phase::Capture],
                parameters: &[],
                result: ResultType::Status,
            },
            HostFunction::Log => &FunctionDef {
                name: "log",
                capability: Some(Capability::Log),
                phases: &[Phase::Init, Phase::Eval, Phase::Capture],
                parameters: &[Parameter { name: "message", parameter_type: ParameterType::Text }],
                result: ResultType::Status,
            },
        }
    }
}

/// What predicates export.
#[rustfmt::skip]
pub const EXPORTS: [ExportDef; 4] = [
    ExportDef { name: "pred_abi", result: ResultType::Count, required: true },
    ExportDef { name: "pred_init", result: ResultType::Status, required: false },
    ExportDef { name: "pred_eval", result: ResultType::Flag, required: true },
    ExportDef { name: "pred_capture", result: ResultType::None, required: false },
];
