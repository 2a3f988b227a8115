//! Hand-written predicates: modules and sources of anybody are refused or run within their limits, and the host lives.

use kestrel_engine::program::{PreparedPrograms, ProgramOptions, ProgramParts};
use kestrel_engine::runtime::profile::Profile;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{Ir, ProgramId};
use kestrel_ir::pack::ProgramFile;
use kestrel_ir::text::parse;

/// A Wasm module is refused, or started and asked about two events.
pub fn module(data: &[u8]) {
    run("wasm", data);
}

/// A Lua source is refused, or started and asked about two events.
pub fn source(data: &[u8]) {
    run("lua", data);
}

fn run(language: &str, code: &[u8]) {
    let ir = ir(language);
    let code = [ProgramFile { name: "p".to_owned(), bytes: code.to_vec() }];
    let parts = ProgramParts { ir: &ir, code: &code, category: "event.category" };
    let options = ProgramOptions { profile: Profile::Strict, ..ProgramOptions::default() };
    let Ok(Some(mut host)) = PreparedPrograms::new(&parts, options).and_then(|prepared| prepared.instantiate()) else {
        return;
    };
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let mut event = Event::new();
    if let Some(field) = table.lookup("process.name") {
        event.push_text(field, "a name");
    }
    for _ in 0..2 {
        host.decide(ProgramId(0), builder.build(&event));
    }
    let report = host.reports().remove(0);
    assert_eq!(report.calls, 2);
    assert!(report.held + report.failures <= 4);
}

/// One rule whose predicate may do everything, within small limits so that a run is short.
fn ir(language: &str) -> Ir {
    let text = format!(
        "field f0 event.category : keyword\nfield f1 process.name : keyword\nnode n0 = true\npredicate p0 = any where n0\n\
         program g0 = {language} \"p\" fields [f1] capabilities [fields, event, regex, captures, alert, block, log, state] \
         instructions 20000 memory 1048576 host_work 2000\nrule \"r\" = event p0 program g0\n"
    );
    // The text is written above, and a typing mistake there shows with the first input.
    parse(&text).unwrap_or_else(|error| panic!("{error}"))
}
