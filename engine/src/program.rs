//! Hand-written predicates: loading them from a pack, running them, and holding them back when they fail.
//!
//! In: a pack's IR and the code of its programs, then frames of the events that their rules' queries selected. Out:
//! decisions for the matcher, counts and notes for people. `docs/host-api.md` is the contract. A predicate is not trusted:
//! whatever it does costs it its own answer, and after a few failures its rule.
//!
//! ```text
//!            PreparedPrograms (once a pack) ── instantiate ──▶ Host (one a thread): core's Programs
//!                                                               └─ Running: report, quarantine
//! frame ─▶ Host ─▶ Running ─▶ Guest: wasm | lua ◀── functions ──▶ api::Call (what the functions do, same for both)
//! ```

mod api;
pub mod limits;
mod lua;
mod wasm;

use std::sync::Arc;

use kestrel_core::program::{Decision, Findings, ProgramReport, Programs};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::{Ir, Program, ProgramId, ProgramLanguage};
use kestrel_ir::pack::ProgramFile;
use kestrel_schema::host_api::{Capability, InterfaceProblem};
use thiserror::Error;

use crate::runtime::profile::Profile;
use api::{Call, Surroundings};
use limits::Limits;
use lua::{LuaGuest, LuaProgram};
use wasm::{WasmGuest, WasmPrograms};

/// How programs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramOptions {
    /// Which limits they have.
    pub profile: Profile,
    /// After how many failures a program is no longer asked.
    pub max_failures: u64,
}

impl Default for ProgramOptions {
    /// The trusted profile and three failures.
    fn default() -> Self {
        ProgramOptions { profile: Profile::default(), max_failures: 3 }
    }
}

/// The parts of a pack that programs are made of.
#[derive(Debug, Clone, Copy)]
pub struct ProgramParts<'p> {
    /// The tables.
    pub ir: &'p Ir,
    /// The code, in the order of the IR's programs.
    pub code: &'p [ProgramFile],
    /// The field that a rule's category tests.
    pub category: &'p str,
}

/// Why a pack's programs cannot run. The pack is refused: a rule without its predicate would match too much.
#[derive(Debug, Error)]
#[error("the predicate of rule `{rule}` is refused: {reason}")]
pub struct ProgramError {
    rule: String,
    reason: Refusal,
}

impl ProgramError {
    /// The id of the rule whose predicate is refused.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Why one program is refused when it is loaded.
#[derive(Debug, Error)]
enum Refusal {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Interface(Vec<InterfaceProblem>),
    #[error("it has {length} bytes, the {profile} profile allows {limit}")]
    TooLong { length: usize, profile: Profile, limit: usize },
    #[error("it is no {language}: {reason}")]
    Code { language: &'static str, reason: String },
    #[error("it does not start: {0}")]
    Start(#[from] Failure),
    #[error("its code is not in the pack")]
    Missing,
}

/// Why a program did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum Failure {
    /// It used up what it may use.
    #[error("it used up {0}")]
    Overrun(&'static str),
    /// Anything else: a trap, an error of its own, an answer that is none.
    #[error("{0}")]
    Broken(String),
}

/// An instance of a predicate: the calls that both languages have.
trait Guest: Send {
    /// Makes the predicate as new and has it start.
    fn start(&mut self) -> Result<(), Failure>;

    /// Calls `pred_eval`.
    fn eval(&mut self) -> Result<bool, Failure>;

    /// Calls `pred_capture`, if there is one.
    fn capture(&mut self) -> Result<(), Failure>;

    /// Gives access to what the host's functions work on, between calls.
    fn with_call(&mut self, access: &mut dyn FnMut(&mut Call));
}

/// The programs of a pack, checked and compiled once, from which each thread makes its own.
#[derive(Debug)]
pub struct PreparedPrograms {
    programs: Vec<PreparedProgram>,
    surroundings: Arc<Surroundings>,
    max_failures: u64,
}

#[derive(Debug)]
struct PreparedProgram {
    rule: String,
    definition: Program,
    limits: Limits,
    code: Code,
}

#[derive(Debug)]
enum Code {
    Wasm(wasm::Module),
    Lua(LuaProgram),
}

impl PreparedPrograms {
    /// Checks and compiles the programs of a pack.
    ///
    /// # Errors
    /// When a program uses what its rule does not declare, does not export what it must, or is no program.
    pub fn new(parts: &ProgramParts<'_>, options: ProgramOptions) -> Result<PreparedPrograms, ProgramError> {
        let mut wasm = None;
        let mut programs = Vec::new();
        for (number, definition) in parts.ir.programs.iter().enumerate() {
            let id = ProgramId(number as u32);
            let user = parts.ir.rules.iter().find(|rule| rule.program == Some(id));
            let rule = user.map_or_else(String::new, |rule| rule.id.clone());
            let limits = Limits::of(options.profile, definition);
            let code = parts.code.get(number).map_or(Err(Refusal::Missing), |file| {
                prepare(definition, &file.bytes, &limits, options.profile, &mut wasm)
            });
            let code = code.map_err(|reason| ProgramError { rule: rule.clone(), reason })?;
            programs.push(PreparedProgram { rule, definition: definition.clone(), limits, code });
        }
        let surroundings = Arc::new(Surroundings::new(&parts.ir.layout, parts.category));
        Ok(PreparedPrograms { programs, surroundings, max_failures: options.max_failures.max(1) })
    }

    /// The programs for one thread, started; nothing for a pack that has none.
    ///
    /// # Errors
    /// When a program does not start.
    pub fn instantiate(&self) -> Result<Option<Box<dyn Programs>>, ProgramError> {
        if self.programs.is_empty() {
            return Ok(None);
        }
        let running: Result<Vec<Running>, ProgramError> = self.programs.iter().map(|one| self.start(one)).collect();
        let mut host = Host { programs: running?, notes: Vec::new(), max_failures: self.max_failures };
        for number in 0..host.programs.len() {
            host.collect_lines(number);
        }
        Ok(Some(Box::new(host)))
    }

    fn start(&self, program: &PreparedProgram) -> Result<Running, ProgramError> {
        let call = Call::new(Arc::clone(&self.surroundings), &program.definition, program.limits);
        let refused = |failure: Failure| ProgramError { rule: program.rule.clone(), reason: failure.into() };
        let mut guest: Box<dyn Guest> = match &program.code {
            Code::Wasm(module) => Box::new(WasmGuest::new(module, call, program.limits)),
            Code::Lua(source) => Box::new(LuaGuest::new(source, call, program.limits).map_err(refused)?),
        };
        guest.start().map_err(refused)?;
        Ok(Running {
            guest,
            fresh: true,
            keeps_state: program.definition.capabilities.contains(&Capability::State),
            report: ProgramReport {
                rule: program.rule.clone(),
                program: program.definition.name.clone(),
                ..ProgramReport::default()
            },
        })
    }
}

fn prepare(
    definition: &Program,
    bytes: &[u8],
    limits: &Limits,
    profile: Profile,
    wasm: &mut Option<WasmPrograms>,
) -> Result<Code, Refusal> {
    if bytes.len() > limits.code {
        return Err(Refusal::TooLong { length: bytes.len(), profile, limit: limits.code });
    }
    Ok(match definition.language {
        ProgramLanguage::Wasm => {
            let programs = match wasm {
                Some(programs) => programs,
                None => wasm.insert(WasmPrograms::new()?),
            };
            Code::Wasm(programs.module(bytes, &definition.capabilities)?)
        }
        ProgramLanguage::Lua => Code::Lua(LuaProgram::new(bytes, &definition.capabilities)?),
    })
}

/// The programs of one pack on one thread.
struct Host {
    programs: Vec<Running>,
    notes: Vec<String>,
    max_failures: u64,
}

struct Running {
    guest: Box<dyn Guest>,
    /// Whether it has started and seen no event since.
    fresh: bool,
    keeps_state: bool,
    report: ProgramReport,
}

impl Running {
    fn ask(&mut self, frame: Frame<'_>) -> Result<Option<Findings>, Failure> {
        if !self.keeps_state && !self.fresh {
            self.guest.start()?;
        }
        self.fresh = false;
        self.guest.with_call(&mut |call| call.begin(frame));
        if !self.guest.eval()? {
            return Ok(None);
        }
        self.guest.with_call(&mut Call::begin_capture);
        self.guest.capture()?;
        let mut findings = Findings::default();
        self.guest.with_call(&mut |call| findings = call.take_findings());
        Ok(Some(findings))
    }
}

impl Programs for Host {
    fn decide(&mut self, program: ProgramId, frame: Frame<'_>) -> Decision {
        let Some(running) = self.programs.get_mut(program.index()) else { return Decision::DoesNotHold };
        if running.report.quarantined {
            return Decision::DoesNotHold;
        }
        running.report.calls += 1;
        let answer = running.ask(frame);
        let decision = match answer {
            Ok(Some(findings)) => {
                running.report.held += 1;
                running.report.blocks_requested += u64::from(findings.block_requested);
                Decision::Holds((!findings.is_empty()).then(|| Box::new(findings)))
            }
            Ok(None) => Decision::DoesNotHold,
            Err(failure) => {
                self.failed(program.index(), &failure);
                Decision::DoesNotHold
            }
        };
        self.collect_lines(program.index());
        decision
    }

    fn reports(&self) -> Vec<ProgramReport> {
        self.programs.iter().map(|running| running.report.clone()).collect()
    }

    fn take_notes(&mut self, notes: &mut Vec<String>) {
        notes.append(&mut self.notes);
    }
}

impl Host {
    /// Counts a failure, tells the first, and starts the program anew or quarantines it.
    fn failed(&mut self, number: usize, failure: &Failure) {
        let Some(running) = self.programs.get_mut(number) else { return };
        let report = &mut running.report;
        report.failures += 1;
        report.overruns += u64::from(matches!(failure, Failure::Overrun(_)));
        if report.first_failure.is_none() {
            report.first_failure = Some(failure.to_string());
            self.notes.push(format!("warning: the predicate of rule `{}` failed: {failure}", report.rule));
        }
        // What it left behind may be half done, so that it starts as new, whether it keeps state or not.
        let mut last = None;
        while report.failures < self.max_failures {
            match running.guest.start() {
                Ok(()) => break,
                Err(failure) => {
                    report.failures += 1;
                    last = Some(failure);
                }
            }
        }
        running.fresh = true;
        if report.failures >= self.max_failures {
            report.quarantined = true;
            let reason = last.as_ref().unwrap_or(failure);
            self.notes.push(format!(
                "warning: the predicate of rule `{}` failed {} times and is quarantined: the rule no longer matches; at last {reason}",
                report.rule, report.failures
            ));
        }
    }

    /// Takes what the program wrote; the call itself bounds how much it keeps.
    fn collect_lines(&mut self, number: usize) {
        let Some(running) = self.programs.get_mut(number) else { return };
        let (report, notes) = (&mut running.report, &mut self.notes);
        running.guest.with_call(&mut |call| {
            report.log_lines = call.log_lines();
            notes.extend(call.take_lines().map(|line| format!("rule `{}`: {line}", report.rule)));
        });
    }
}
