//! What a call of the C API answers.

/// `kestrel_status` of the header: 0 is success, everything else says what kind of failure it was. The text for people is
/// the handle's error.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KestrelStatus {
    /// The call did what it says.
    Ok = 0,
    /// A pointer is null that must not be, a length is beyond what memory can hold, a text is not UTF-8, or a number is
    /// none of those allowed.
    InvalidArgument = 1,
    /// The rules have errors, or there is no rule among them.
    RuleErrors = 2,
    /// The bytes are no pack that this build reads.
    PackRefused = 3,
    /// The pack cannot be run: no such runtime, no code for it, or the code was refused.
    EngineRefused = 4,
    /// The document is no event. The engine goes on.
    InvalidDocument = 5,
    /// The engine is in the middle of another call.
    Busy = 6,
    /// The engine has been finished.
    Finished = 7,
    /// A mistake of the library.
    Internal = 8,
}

impl KestrelStatus {
    /// All of them, by number.
    pub const ALL: [KestrelStatus; 9] = [
        KestrelStatus::Ok,
        KestrelStatus::InvalidArgument,
        KestrelStatus::RuleErrors,
        KestrelStatus::PackRefused,
        KestrelStatus::EngineRefused,
        KestrelStatus::InvalidDocument,
        KestrelStatus::Busy,
        KestrelStatus::Finished,
        KestrelStatus::Internal,
    ];

    /// The name of the constant in the header.
    pub fn c_name(self) -> &'static str {
        match self {
            KestrelStatus::Ok => "KESTREL_OK",
            KestrelStatus::InvalidArgument => "KESTREL_INVALID_ARGUMENT",
            KestrelStatus::RuleErrors => "KESTREL_RULE_ERRORS",
            KestrelStatus::PackRefused => "KESTREL_PACK_REFUSED",
            KestrelStatus::EngineRefused => "KESTREL_ENGINE_REFUSED",
            KestrelStatus::InvalidDocument => "KESTREL_INVALID_DOCUMENT",
            KestrelStatus::Busy => "KESTREL_BUSY",
            KestrelStatus::Finished => "KESTREL_FINISHED",
            KestrelStatus::Internal => "KESTREL_INTERNAL",
        }
    }
}
