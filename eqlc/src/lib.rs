//! The EQL compiler: text to syntax tree, types, IR and packs, with diagnostics.

pub mod compile;
pub mod diagnostics;
pub mod lower;
pub mod format;
pub mod rules;
pub mod syntax;
pub mod types;
