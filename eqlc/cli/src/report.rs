//! Diagnostics on standard error: pictures for people, JSON lines for programs.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use eqlc::diagnostics::{Diagnostic, Severity, SourceFile, json_lines, render};

/// A line on standard error; that nobody reads it is no error of the command.
macro_rules! tell {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}

/// A line on standard output, from a function that returns `anyhow::Result`.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($argument)*)?;
    }};
}

pub(crate) use {say, tell};

/// How diagnostics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// With the lines they speak about.
    Human,
    /// One JSON object a line.
    Json,
}

/// Writes the diagnostics of one file. A closed standard error is not an error of the command.
pub fn report(format: MessageFormat, source: &SourceFile, diagnostics: &[Diagnostic]) {
    if diagnostics.is_empty() {
        return;
    }
    let mut standard_error = std::io::stderr().lock();
    let text = match format {
        MessageFormat::Human => render(diagnostics, source, std::io::stderr().is_terminal()),
        MessageFormat::Json => json_lines(diagnostics, source),
    };
    let _ = standard_error.write_all(text.as_bytes());
}

/// How many diagnostics are errors and how many warnings.
pub fn count<'d>(diagnostics: impl IntoIterator<Item = &'d Diagnostic>) -> (usize, usize) {
    let (mut errors, mut warnings) = (0, 0);
    for diagnostic in diagnostics {
        match diagnostic.severity {
            Severity::Error => errors += 1,
            Severity::Warning => warnings += 1,
            Severity::Note => {}
        }
    }
    (errors, warnings)
}
