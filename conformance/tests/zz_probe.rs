#[test]
fn probe() {
    use eqlc::compile::compile_query;
    for pat in ["[^a]{500}", "ab.*c", "x~(.*a.{8})y"] {
        for n in [100usize, 1000] {
            let q = format!("process where process.name regex ({})", (0..n).map(|i| format!("\"{pat}{i}\"")).collect::<Vec<_>>().join(","));
            let t = std::time::Instant::now();
            let (ir, d) = compile_query(&q, &kestrel_schema::Schema::ecs(), eqlc::syntax::Dialect::Elastic);
            println!("{pat} {n} {:?} {:?} {:?}", t.elapsed(), ir.is_some(), d.first().map(|d| &d.message));
        }
    }
}
