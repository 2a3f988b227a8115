//! Builds the parser from `src/syntax/grammar.lalrpop`.

fn main() {
    println!("cargo:rerun-if-changed=src/syntax/grammar.lalrpop");
    let result = lalrpop::Configuration::new().use_cargo_dir_conventions().emit_rerun_directives(true).process();
    if let Err(error) = result {
        panic!("the grammar does not build: {error}");
    }
}
