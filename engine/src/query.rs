//! A query over a file of events, as a hunter or a test runs it: all events first, then their matches in result order.
//!
//! In: a compiled IR of one rule, a runtime, the documents. Out: for each match the numbers of its documents. The same
//! matcher as everywhere does the work; what is special here is that the events are sorted before they are matched.

mod sample;
pub mod typing;

use kestrel_core::key::JoinKey;
use kestrel_core::matcher::{Match, Matcher, MatcherError, MatcherOptions};
use kestrel_core::pipes::{self, Piped};
use kestrel_core::program::{ProgramReport, Programs};
use kestrel_core::runtime::Runtime;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::{DecodeError, Decoder};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{Ir, RuleKind};
use kestrel_schema::Schema;

/// A match of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryMatch {
    /// The documents of its events by their number in the input; `None` for a missing event.
    pub documents: Vec<Option<usize>>,
    /// The timestamps of its events, nanoseconds since 1970.
    pub timestamps: Vec<Option<i64>>,
    /// The join key; empty for single events.
    pub key: JoinKey,
    /// How many matches this one stands for, behind the pipe `unique_count`.
    pub count: Option<u64>,
}

/// What a query found.
#[derive(Debug, Default)]
pub struct QueryResult {
    /// The matches, in the order of their last event.
    pub matches: Vec<QueryMatch>,
    /// Behind the pipe `count`, instead of matches: combinations of values, and how many matches have them.
    pub counts: Option<Vec<(JoinKey, u64)>>,
    /// The documents that are no events, by number, and why.
    pub invalid: Vec<(usize, DecodeError)>,
    /// How many events were read.
    pub events: u64,
    /// What the runtime said when it failed and the interpreter had to decide instead.
    pub runtime_error: Option<String>,
    /// What became of the rule's hand-written predicate.
    pub programs: Vec<ProgramReport>,
    /// What came up while it ran: its failures, and the lines that it wrote.
    pub notes: Vec<String>,
}

/// Runs the first rule of `ir` over `documents`; `programs` run its hand-written predicate, if it has one.
///
/// # Errors
/// When the IR cannot be matched.
pub fn run<D: AsRef<[u8]>>(
    ir: &Ir,
    runtime: Box<dyn Runtime>,
    programs: Option<Box<dyn Programs>>,
    schema: &Schema,
    documents: &[D],
) -> Result<QueryResult, MatcherError> {
    let query = ir;
    let terms = match ir.rules.first().map(|rule| &rule.kind) {
        Some(RuleKind::Sample { terms }) => Some(terms),
        _ => None,
    };
    let filters = terms.map(|terms| sample::filters(ir, terms));
    let ir = filters.as_ref().unwrap_or(ir);
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let decoder = Decoder::new(&table, schema.event());
    let mut result = QueryResult::default();
    let mut event = Event::new();
    let mut order = Vec::with_capacity(documents.len());
    for (number, document) in documents.iter().enumerate() {
        match decoder.decode(document.as_ref(), &mut event) {
            Ok(()) => order.push((event.timestamp, event.tiebreaker, number)),
            Err(error) => result.invalid.push((number, error)),
        }
    }
    order.sort_unstable();
    result.events = order.len() as u64;
    let options = MatcherOptions::of_query();
    let mut matcher = match programs {
        None => Matcher::new(ir, &table, runtime, options)?,
        programs => Matcher::with_programs(ir, &table, runtime, programs, options)?,
    };
    let mut matches: Vec<Match> = Vec::new();
    for &(_, _, number) in &order {
        if let Some(document) = documents.get(number)
            && decoder.decode(document.as_ref(), &mut event).is_ok()
        {
            event.ordinal = number as u64;
            if matcher.queue(&event) {
                matcher.flush(&mut matches);
            }
        }
    }
    matcher.finish(&mut matches);
    matches.sort_by_key(|found| found.last);
    if let Some(terms) = terms {
        matches = sample::samples(ir, terms, matches);
    }
    let pipes = query.rules.first().map_or(&[][..], |rule| &rule.pipes);
    let matches = match pipes::apply(matcher.interpreter(), matches, pipes) {
        Piped::Matches(matches) => matches,
        Piped::Counts(counts) => {
            result.counts = Some(counts);
            Vec::new()
        }
    };
    result.matches = matches
        .into_iter()
        .map(|(found, count)| {
            let frames = || found.events.iter().map(|event| event.as_ref().and_then(|evidence| evidence.frame()));
            QueryMatch {
                documents: frames().map(|frame| frame.map(|frame| frame.ordinal() as usize)).collect(),
                timestamps: frames().map(|frame| frame.map(|frame| frame.timestamp())).collect(),
                key: found.key.clone(),
                count,
            }
        })
        .collect();
    result.programs = matcher.program_reports();
    if let Some(programs) = matcher.programs() {
        programs.take_notes(&mut result.notes);
    }
    result.runtime_error = matcher.runtime_error().map(str::to_owned);
    Ok(result)
}
