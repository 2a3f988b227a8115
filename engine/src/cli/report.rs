//! Words for people on standard error, and results on standard output, neither of which may panic when nobody reads.

use std::io::{self, ErrorKind, Write};

use kestrel_engine::stats::counted;

/// How many of one kind of trouble are told in full.
const TOLD: u64 = 10;

/// Says a line on standard error.
pub(super) fn say(line: &str) {
    // Standard error is the last place to complain; when it is closed there is nobody to tell.
    // What packs and events bring must not speak to the terminal.
    let plain: String = line
        .chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let itself = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(itself)
        })
        .collect();
    let _ = writeln!(io::stderr(), "kestrel-engine: {plain}");
}

/// Prints a line of standard error as it is, for programs to read.
pub(super) fn say_raw(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints a result. A reader that went away has read enough.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Tells trouble with documents: the first of it in full, the rest as a number.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    invalid: u64,
    damaged: u64,
}

impl Trouble {
    /// A document that is no event.
    pub(super) fn invalid(&mut self, input: &str, unit: &str, line: u64, reason: &str) {
        self.invalid += 1;
        if self.invalid <= TOLD {
            say(&format!("warning: {input}, {unit} {line}: {reason}"));
        }
    }

    /// A part that cannot be read.
    pub(super) fn damaged(&mut self, input: &str, message: &str) {
        self.damaged += 1;
        if self.damaged <= TOLD {
            say(&format!("warning: {input}: {message}"));
        }
    }

    /// How many parts could not be read.
    pub(super) fn damages(&self) -> u64 {
        self.damaged
    }

    /// How many documents were no events.
    pub(super) fn invalids(&self) -> u64 {
        self.invalid
    }

    /// Says how much was not told.
    pub(super) fn finish(&self) {
        if self.invalid > TOLD {
            say(&format!("warning: {} more like these", counted(self.invalid - TOLD, "invalid document")));
        }
        if self.damaged > TOLD {
            say(&format!("warning: {} more cannot be read", counted(self.damaged - TOLD, "part")));
        }
    }
}
