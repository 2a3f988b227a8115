//! Written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit.
//!
//! What a predicate in Rust may import; docs/host-api.md is the guide. Include it with `#[path]`; it needs no crate, and
//! no standard library.
#![allow(dead_code, reason = "a predicate uses its part")]

/// What `pred_abi` returns.
pub const ABI: i32 = 1;
/// There is no value: the field is missing, or has fewer values.
pub const MISSING: i32 = -1;
/// The field is of another type.
pub const WRONG_TYPE: i32 = -2;
/// No such handle, or a field that the rule does not list.
pub const UNKNOWN: i32 = -3;
/// The function cannot be called from here.
pub const WRONG_PHASE: i32 = -4;
/// A text is not UTF-8, or a pattern is malformed.
pub const INVALID: i32 = -5;
/// A text is too long, or there are too many of something.
pub const TOO_LARGE: i32 = -6;

#[link(wasm_import_module = "kestrel")]
unsafe extern "C" {
    /// The handle of a field that the rule lists in `fields`. Needs `fields`.
    #[rustfmt::skip]
    pub fn schema_resolve(name: *const u8, name_length: usize) -> i32;

    /// How many values the field has; 0 when it is missing. Needs `fields`.
    #[rustfmt::skip]
    pub fn event_get_count(field: i32) -> i32;

    /// One value as text. A field of any type has one: numbers in decimal digits, addresses as they are written. Needs `fields`.
    #[rustfmt::skip]
    pub fn event_get_text(field: i32, index: i32, buffer: *mut u8, buffer_capacity: usize) -> i32;

    /// One value of a `long`, or of a `date` in nanoseconds since 1970. Needs `fields`.
    #[rustfmt::skip]
    pub fn event_get_integer(field: i32, index: i32, result: *mut i64) -> i32;

    /// One value of a `double` or of a `long`. Needs `fields`.
    #[rustfmt::skip]
    pub fn event_get_float(field: i32, index: i32, result: *mut f64) -> i32;

    /// One value of a `boolean`. Needs `fields`.
    #[rustfmt::skip]
    pub fn event_get_boolean(field: i32, index: i32) -> i32;

    /// One value of an `ip`: 16 octets, IPv4 mapped into IPv6. Needs `fields`.
    #[rustfmt::skip]
    pub fn event_get_ip(field: i32, index: i32, result: *mut [u8; 16]) -> i32;

    /// What the event is: its category and its type with a slash between, such as `process/start`; a part that is missing is empty. Needs `event`.
    #[rustfmt::skip]
    pub fn event_type(buffer: *mut u8, buffer_capacity: usize) -> i32;

    /// The id of the event's process, `process.entity_id`. Needs `event`.
    #[rustfmt::skip]
    pub fn event_entity(buffer: *mut u8, buffer_capacity: usize) -> i32;

    /// The event's time in nanoseconds since 1970; 0 before the first event. There is no other clock. Needs `event`.
    #[rustfmt::skip]
    pub fn event_time() -> i64;

    /// Compiles a regular expression of the language (`regex`), which matches whole texts. Needs `regex`.
    #[rustfmt::skip]
    pub fn re_compile(pattern: *const u8, pattern_length: usize, ignore_case: i32) -> i32;

    /// Whether a compiled expression matches the whole text. Needs `regex`.
    #[rustfmt::skip]
    pub fn re_match(pattern: i32, subject: *const u8, subject_length: usize) -> i32;

    /// Whether a wildcard pattern matches the whole text: `*` is any run of characters, `?` is one.
    #[rustfmt::skip]
    pub fn glob_match(pattern: *const u8, pattern_length: usize, subject: *const u8, subject_length: usize, ignore_case: i32) -> i32;

    /// Whether two texts are equal but for case, as `==` with `~` has it (Unicode simple folding).
    #[rustfmt::skip]
    pub fn str_eq_ci(left: *const u8, left_length: usize, right: *const u8, right_length: usize) -> i32;

    /// xxHash64 of some bytes, for tables and filters. In Lua a text of 16 hexadecimal digits, because its numbers do not hold 64 bits.
    #[rustfmt::skip]
    pub fn hash_xx64(data: *const u8, data_length: usize, seed: i64) -> i64;

    /// Adds a text to the alert's `captures`. A name that is there already keeps its place and takes the new value. Needs `captures`.
    #[rustfmt::skip]
    pub fn capture_put_text(name: *const u8, name_length: usize, value: *const u8, value_length: usize) -> i32;

    /// The same with an integer. Needs `captures`.
    #[rustfmt::skip]
    pub fn capture_put_integer(name: *const u8, name_length: usize, value: i64) -> i32;

    /// The same with a decimal. What is no number or infinite is `invalid`. Needs `captures`.
    #[rustfmt::skip]
    pub fn capture_put_float(name: *const u8, name_length: usize, value: f64) -> i32;

    /// The same with a truth value. Needs `captures`.
    #[rustfmt::skip]
    pub fn capture_put_boolean(name: *const u8, name_length: usize, value: i32) -> i32;

    /// Adds a message to the alert, if there is one in the end. Needs `alert`.
    #[rustfmt::skip]
    pub fn alert_emit(message: *const u8, message_length: usize) -> i32;

    /// Asks for the event to be blocked. The alert, if there is one in the end, says that it was asked. Needs `block`.
    #[rustfmt::skip]
    pub fn action_block() -> i32;

    /// Writes a line for the author of the predicate. The engine keeps the first lines of a run and counts the rest. Needs `log`.
    #[rustfmt::skip]
    pub fn log(message: *const u8, message_length: usize) -> i32;
}
