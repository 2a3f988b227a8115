//! Random queries through every printer and back: the formatter keeps what a query means, the text form of the IR keeps
//! everything.

use eqlc::compile::compile_query;
use eqlc::format::format_source;
use eqlc::syntax::Dialect;
use kestrel_conformance::generate::{Random, queries, seed};
use kestrel_ir::text;
use kestrel_schema::Schema;

/// How many queries a run prints and parses back.
const QUERIES: usize = 2_000;

#[test]
fn random_queries_survive_the_formatter_and_the_text_form() {
    let seed = seed(3);
    println!("KESTREL_SEED={seed}, {QUERIES} queries");
    let mut random = Random::new(seed);
    let schema = Schema::ecs();
    let compile = |query: &str| {
        let (ir, diagnostics) = compile_query(query, &schema, Dialect::Elastic);
        ir.unwrap_or_else(|| panic!("{query}\n{diagnostics:?}"))
    };
    for _ in 0..QUERIES {
        let query = queries::any_query(&mut random);
        let ir = compile(&query);
        let formatted = format_source(&query, Dialect::Elastic).unwrap_or_else(|found| panic!("{query}\n{found:?}"));
        assert_eq!(compile(&formatted), ir, "seed {seed}\n{query}\n{formatted}");
        let again = format_source(&formatted, Dialect::Elastic).expect("what was formatted parses");
        assert_eq!(again, formatted, "seed {seed}: formatting twice gives the same\n{query}");
        let printed = text::print(&ir);
        let parsed = text::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(parsed, ir, "seed {seed}\n{query}\n{printed}");
    }
}
