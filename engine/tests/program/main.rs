//! Hand-written predicates: the functions of the host, and that whatever a predicate does is contained, counted, told.

mod containment;
mod functions;
#[path = "../../../fuzz/src/program.rs"]
mod oracle;

use kestrel_core::program::{Decision, ProgramReport, Programs};
use kestrel_engine::program::{PreparedPrograms, ProgramOptions, ProgramParts};
use kestrel_engine::runtime::profile::Profile;
use kestrel_ir::event::{Event, FieldTable, FieldValue};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{Ir, ProgramId};
use kestrel_ir::pack::ProgramFile;
use kestrel_ir::text::parse;
use kestrel_ir::verify::verify;

const FIELDS: &str = "\
field f0 event.category : keyword
field f1 event.type : keyword
field f2 process.entity_id : keyword
field f3 process.command_line : keyword
field f4 process.args : keyword
field f5 process.pid : long
field f6 file.score : double
field f7 process.interactive : boolean
field f8 source.ip : ip
field f9 file.path : keyword
node n0 = true
predicate p0 = any where n0
";
const ALL: &str = "fields, event, regex, captures, alert, block, log, state";

/// A predicate to try.
#[derive(Clone)]
struct Case<'c> {
    language: &'static str,
    code: Vec<u8>,
    capabilities: &'c str,
    limits: &'c str,
    profile: Profile,
    events: usize,
}

/// What came of it.
struct Outcome {
    decisions: Vec<Decision>,
    report: ProgramReport,
    notes: Vec<String>,
}

impl Case<'_> {
    fn lua(source: &str) -> Case<'static> {
        let code = source.as_bytes().to_vec();
        Case { language: "lua", code, capabilities: ALL, limits: "", profile: Profile::Strict, events: 1 }
    }

    /// The functions and memory of a module; `pred_abi` is added.
    fn wat(body: &str) -> Case<'static> {
        Case::module(&format!("(module {body} (func (export \"pred_abi\") (result i32) (i32.const 1)))"))
    }

    fn module(text: &str) -> Case<'static> {
        let code = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Case { language: "wasm", code, ..Case::lua("") }
    }

    fn ir(&self) -> Ir {
        let Case { language, capabilities, limits, .. } = self;
        let fields = "[f3, f4, f5, f6, f7, f8]";
        let text = format!(
            "{FIELDS}program g0 = {language} \"p\" fields {fields} capabilities [{capabilities}] {limits}\n\
             rule \"r\" = event p0 program g0\n"
        );
        let ir = parse(&text).expect("the rule parses");
        verify(&ir).expect("the rule is valid");
        ir
    }

    fn load(&self) -> Result<Box<dyn Programs>, String> {
        let ir = self.ir();
        let code = [ProgramFile { name: "p".to_owned(), bytes: self.code.clone() }];
        let parts = ProgramParts { ir: &ir, code: &code, category: "event.category" };
        let options = ProgramOptions { profile: self.profile, ..ProgramOptions::default() };
        let prepared = PreparedPrograms::new(&parts, options).map_err(|error| error.to_string())?;
        let host = prepared.instantiate().map_err(|error| error.to_string())?;
        Ok(host.expect("there is a program"))
    }

    fn refusal(&self) -> String {
        self.load().err().expect("it is refused")
    }

    fn run(&self) -> Outcome {
        let mut host = self.load().unwrap_or_else(|error| panic!("{error}"));
        let ir = self.ir();
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        let mut builder = FrameBuilder::new(&ir.layout, &table);
        let mut event = Event::new();
        let mut decisions = Vec::new();
        for number in 0..self.events {
            fill(&mut event, &table, number);
            decisions.push(host.decide(ProgramId(0), builder.build(&event)));
        }
        let mut notes = Vec::new();
        host.take_notes(&mut notes);
        Outcome { decisions, report: host.reports().remove(0), notes }
    }
}

fn fill(event: &mut Event, table: &FieldTable, number: usize) {
    event.clear();
    event.timestamp = 1_700_000_000_000_000_000 + number as i64;
    let mut push = |name: &str, value: FieldValue<'_>| {
        event.push_value(table.lookup(name).expect("a field of the layout"), 0, value);
    };
    push("event.category", FieldValue::Text("process"));
    push("event.type", FieldValue::Text("start"));
    push("process.entity_id", FieldValue::Text("entity-1"));
    push("process.command_line", FieldValue::Text("curl -s http://x.example/é"));
    push("process.args", FieldValue::Text("curl"));
    push("process.args", FieldValue::Text("-s"));
    push("process.pid", FieldValue::Integer(-7));
    push("file.score", FieldValue::Float(0.5));
    push("process.interactive", FieldValue::Boolean(true));
    let octets = std::net::Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().octets();
    push("source.ip", FieldValue::Ip(octets));
}
