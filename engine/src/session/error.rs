//! Why a session cannot be made.

use kestrel_core::matcher::MatcherError;
use kestrel_core::runtime::RuntimeError;
use kestrel_ir::pack::PackError;
use thiserror::Error;

use crate::program::ProgramError;

/// Why packs cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No pack was given.
    #[error("there is no pack to run")]
    NoPack,
    /// A pack's file cannot be read.
    #[error("cannot read pack {name}: {cause}")]
    Io {
        /// The pack's name.
        name: String,
        /// The operating system's answer.
        cause: std::io::Error,
    },
    /// A pack is broken, of another version, or does not fit the schema.
    #[error("pack {name} is refused: {cause}")]
    Pack {
        /// The pack's name.
        name: String,
        /// What is wrong with it.
        cause: PackError,
    },
    /// Two packs cannot run over the same events.
    #[error("packs {first} and {second} cannot run together: {reason}")]
    Disagree {
        /// The one pack's name.
        first: String,
        /// The other's.
        second: String,
        /// About what they disagree.
        reason: String,
    },
    /// The runtime does not take a pack's code.
    #[error("pack {name} cannot run: {cause}")]
    Runtime {
        /// The pack's name.
        name: String,
        /// What the runtime says.
        cause: RuntimeError,
    },
    /// A hand-written predicate is refused.
    #[error("pack {name} cannot run: {cause}")]
    Program {
        /// The pack's name.
        name: String,
        /// Which rule's, and why.
        cause: ProgramError,
    },
    /// The matcher does not take a pack's rules.
    #[error("pack {name} cannot run: {cause}")]
    Matcher {
        /// The pack's name.
        name: String,
        /// What the matcher says.
        cause: MatcherError,
    },
    /// A thread that was to be made ready panicked.
    #[error("a thread could not be made ready")]
    Thread,
    /// Alerts are to be suppressed by a field that the pack's events do not have.
    #[error("pack {name} keeps no field `{field}`, by which alerts of rule `{rule}` are to be suppressed")]
    Suppression {
        /// The pack's name.
        name: String,
        /// The rule.
        rule: String,
        /// The field.
        field: String,
    },
}
