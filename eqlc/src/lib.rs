//! The EQL compiler: text to syntax tree, types, IR and packs, with diagnostics.

pub mod compile;
pub mod diagnostics;
pub mod format;
pub mod lints;
pub mod lower;
pub mod rules;
pub mod syntax;
pub mod types;
