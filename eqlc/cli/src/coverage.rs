//! `eqlc coverage`: for which share of the rules a live engine of this build collects what they ask for.
//!
//! In: rule files. Out: a table for people or JSON: how many rules are served, what each kind of events and each missing field
//! would add, and for each rule what it lacks. The rules counted are those for Linux (see [`is_for_linux`]). What a rule needs is
//! read from its IR ([`guards::rule_needs`]); what is collected stands in the schema: a kind is `live`, and lists its fields.
//!
//! A rule is *served* when every event that it waits for can be any of the kinds that it asks for, with every field that it
//! asks for positively: in `a or b` both alternatives. It is served *in part* when every one of its events can still come about
//! in some way. What is negated is not counted: an exception over a field that nobody fills hides nothing.

mod print;
mod tally;

use std::path::PathBuf;

use clap::Args;
use eqlc::compile::{CompileOptions, compile_rules};
use eqlc::rules::{RuleSource, files};
use kestrel_ir::guards::{self, Needs};
use kestrel_ir::model::{Atom, Ir, Rule, StringMatch};
use kestrel_schema::{EventKind, event_kinds};

use crate::inspect::Output;
use crate::report::{MessageFormat, report};
use crate::{DialectArgument, Outcome, SchemaArgument};
use tally::{Served, Tally};

/// `eqlc coverage`.
#[derive(Debug, Args)]
pub struct CoverageArguments {
    /// Rule files, and folders that are searched for `.eql` and `.toml` files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// How it is printed. JSON tells of each rule.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Lists the rules that are not served, and what each lacks.
    #[arg(long)]
    list: bool,
    /// Ends with status 1 when a smaller share of the rules is served.
    #[arg(long, value_name = "PERCENT")]
    at_least: Option<f64>,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

/// A Linux rule, and what came of it.
struct Judged {
    id: String,
    name: String,
    path: String,
    served: Served,
    /// Whether it would be served if every kind of the schema were live.
    planned: bool,
    /// The kinds that it needs, by name.
    kinds: Vec<&'static str>,
    /// Those of them that are not live.
    missing_kinds: Vec<&'static str>,
    /// The fields that no kind has which it could match.
    missing_fields: Vec<String>,
}

/// Prints what is collected for the rules below the paths.
pub fn coverage(arguments: &CoverageArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let options = CompileOptions { schema: arguments.schema.load()?, dialect: arguments.dialect.dialect() };
    let set = files::load(&arguments.paths)?;
    set.reported.iter().for_each(|(source, diagnostics)| report(format, source, diagnostics));
    let (skipped, unread) = (set.skipped.len(), set.failed());
    let compilation = compile_rules(set.rules, &options);
    for failed in &compilation.failed {
        report(format, &failed.source.source, &failed.diagnostics);
    }
    let ir = compilation.verified.ir();
    let mut tally = Tally { skipped, failed: unread + compilation.failed.len(), ..Tally::default() };
    for (built, rule) in compilation.built.iter().zip(&ir.rules) {
        if is_for_linux(&built.source, ir, rule) {
            tally.rules.push(judge(&built.source, ir, rule));
        } else {
            tally.elsewhere += 1;
        }
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match arguments.output {
        Output::Text => print::text(&tally, arguments.list, &mut out)?,
        Output::Json => print::json(&tally, &mut out)?,
    }
    let enough = arguments.at_least.is_none_or(|least| tally.share(tally.served()) >= least);
    Ok(if enough && tally.failed == 0 { Outcome::Done } else { Outcome::Found })
}

/// Whether a rule is for Linux: it says so (`os_list`, a tag `OS: Linux`), or it says nothing and its query asks for
/// `host.os.type` linux; and its query can match an event of a Linux host at all.
fn is_for_linux(source: &RuleSource, ir: &Ir, rule: &Rule) -> bool {
    let said = if source.os.is_empty() {
        asks_for_linux(ir, rule)
    } else {
        source.os.iter().any(|os| os.eq_ignore_ascii_case("linux"))
    };
    if !said {
        return false;
    }
    let system_alone: Vec<EventKind> = Vec::from([EventKind {
        id: 0,
        name: "",
        category: &[],
        event_type: &[],
        action: "",
        live: false,
        fields: &[],
        doc: "",
    }]);
    let possible = guards::predicate_kinds(ir, &system_alone);
    rule.predicates().iter().all(|predicate| possible.get(predicate.index()).is_some_and(|kinds| !kinds.is_empty()))
}

fn asks_for_linux(ir: &Ir, rule: &Rule) -> bool {
    rule.predicates().iter().any(|&predicate| {
        guards::analyze(ir, predicate).clauses.iter().flat_map(|clause| &clause.atoms).any(|&atom| {
            match ir.atom(atom) {
                Some(Atom::Strings { field, matching: StringMatch::Exact, strings, .. }) => {
                    ir.layout.name(*field) == "host.os.type" && strings.iter().any(|system| system == "linux")
                }
                _ => false,
            }
        })
    })
}

fn judge(source: &RuleSource, ir: &Ir, rule: &Rule) -> Judged {
    let needs = guards::rule_needs(ir, rule, event_kinds());
    let of_all = |ids: &dyn Fn(&Needs) -> Vec<u16>| -> Vec<&'static EventKind> {
        let wanted: Vec<u16> = needs.iter().flat_map(ids).collect();
        event_kinds().iter().filter(|kind| wanted.contains(&kind.id)).collect()
    };
    let kinds = of_all(&|needs| needs.kinds.clone());
    let missing_kinds: Vec<&EventKind> = kinds.iter().copied().filter(|kind| !kind.live).collect();
    let mut missing_fields: Vec<String> =
        needs.iter().flat_map(|needs| needs.missing.iter().map(|(field, _)| field.clone())).collect();
    missing_fields.sort();
    missing_fields.dedup();
    let live = |id: &u16| event_kinds().iter().any(|kind| kind.id == *id && kind.live);
    let planned = missing_fields.is_empty() && needs.iter().all(|needs| !needs.possible.is_empty());
    let served = if planned && missing_kinds.is_empty() {
        Served::Whole
    } else if needs.iter().all(|needs| needs.possible.iter().any(live)) {
        Served::Part
    } else {
        Served::No
    };
    let names = |kinds: &[&'static EventKind]| kinds.iter().map(|kind| kind.name).collect();
    Judged {
        id: source.id.clone(),
        name: source.name.clone(),
        path: source.path.clone(),
        served,
        planned,
        kinds: names(&kinds),
        missing_kinds: names(&missing_kinds),
        missing_fields,
    }
}
