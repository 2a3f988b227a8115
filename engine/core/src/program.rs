//! Hand-written predicates as the matcher sees them: an event that a rule's query selected goes in, a decision comes out.
//!
//! Running Wasm and Lua needs code that is not safe by itself and limits that differ by host, so that the engine does it,
//! behind [`Programs`]. What is here is plain data.

use kestrel_ir::frame::Frame;
use kestrel_ir::model::ProgramId;

/// Runs the hand-written predicates of one pack. One instance serves one thread.
pub trait Programs: Send {
    /// Whether the predicate says that the event matches. It is asked once for each event that its rule's query selects,
    /// in event order. One that fails, or has failed too often, says no; that is counted and told.
    fn decide(&mut self, program: ProgramId, frame: Frame<'_>) -> Decision;

    /// What became of each program so far, in the order of the IR's.
    fn reports(&self) -> Vec<ProgramReport>;

    /// Appends what people should know and have not been told: failures, quarantines, lines of the predicates.
    fn take_notes(&mut self, notes: &mut Vec<String>);
}

/// What a predicate says of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The event matches, with what the predicate adds to the alert.
    Holds(Option<Box<Findings>>),
    /// It does not.
    DoesNotHold,
}

/// What a predicate adds to an alert.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Names and values, in the order in which they were put, each name once.
    pub captures: Vec<(String, CaptureValue)>,
    /// Messages, in order.
    pub messages: Vec<String>,
    /// Whether the predicate asked for the event to be blocked.
    pub block_requested: bool,
}

/// A captured value.
#[derive(Debug, Clone, PartialEq)]
pub enum CaptureValue {
    /// A text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A decimal, finite.
    Float(f64),
    /// A truth value.
    Boolean(bool),
}

/// What became of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramReport {
    /// The rule's id.
    pub rule: String,
    /// The program's name.
    pub program: String,
    /// How often it was asked.
    pub calls: u64,
    /// How often it said that the event matches.
    pub held: u64,
    /// How often it failed, for whatever reason.
    pub failures: u64,
    /// How many of these were overruns of a limit.
    pub overruns: u64,
    /// How often it asked for an event to be blocked that it said to match.
    pub blocks_requested: u64,
    /// Lines that it wrote.
    pub log_lines: u64,
    /// Whether it is no longer asked.
    pub quarantined: bool,
    /// What it said when it failed first.
    pub first_failure: Option<String>,
}

impl Findings {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.captures.is_empty() && self.messages.is_empty() && !self.block_requested
    }
}

/// Asks a rule's program, if it has one. Without anybody to run it, it does not hold.
pub(crate) fn decide(
    programs: Option<&mut (dyn Programs + 'static)>,
    program: Option<ProgramId>,
    frame: Frame<'_>,
) -> Decision {
    match (program, programs) {
        (None, _) => Decision::Holds(None),
        (Some(program), Some(programs)) => programs.decide(program, frame),
        (Some(_), None) => Decision::DoesNotHold,
    }
}
