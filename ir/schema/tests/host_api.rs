//! The files that the host API's table is written to say what `host_api.toml` says, and a wrong table is refused.
//!
//! `BLESS=1` writes the files, like `cargo xtask host-api`.

use std::path::Path;

use kestrel_schema::generate::host_api::{HOST_API_FILES, HostApiSource};
use kestrel_schema::host_api::{Capability, HostFunction, Phase};

#[test]
fn generated_files_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = HostApiSource::built_in().expect("the built-in table is right");
    for (name, generate) in HOST_API_FILES {
        let path = root.join(name);
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let wanted = generate(&source, &found);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, wanted).expect("the file can be written");
            continue;
        }
        assert!(found == wanted, "{name} is stale: run `cargo xtask host-api`");
    }
}

#[test]
fn every_function_is_found_by_its_name_and_can_be_called_from_somewhere() {
    let source = HostApiSource::built_in().expect("the built-in table is right");
    assert_eq!(source.function_count(), HostFunction::ALL.len());
    for function in HostFunction::ALL {
        let definition = function.definition();
        assert_eq!(HostFunction::named(definition.name), Some(function));
        assert!(!definition.phases.is_empty(), "{}", definition.name);
    }
    let evaluated = HostFunction::CapturePutText.definition();
    assert_eq!((evaluated.capability, evaluated.phases), (Some(Capability::Captures), &[Phase::Capture][..]));
    assert_eq!(evaluated.signature().to_string(), "(i32, i32, i32, i32) -> i32");
    let read = HostFunction::EventGetInteger.definition().signature();
    assert_eq!(read.to_string(), "(i32, i32, i32) -> i32");
}

#[test]
fn a_wrong_table_is_refused() {
    let table = "version = 1\nmodule = 'm'\nexport = []\n[[capability]]\nname = 'c'\ndoc = 'C.'\n\
                 [[error]]\nname = 'e'\ncode = -1\ndoc = 'E.'\n[[function]]\nname = 'f'\ncapability = 'c'\n\
                 phases = ['eval']\nparameters = [['p', 'text']]\nresult = 'flag'\ndoc = 'D.'\n";
    assert!(HostApiSource::parse(table).is_ok());
    let twice = format!("{table}{}", &table[table.find("[[function]]").expect("a function")..]);
    for (text, expected) in [
        (table.replace("'D.'", "'D'"), "`f` is described by sentences, which end with a period"),
        (table.replace("capability = 'c'", "capability = 'd'"), "`f` needs the unknown capability `d`"),
        (table.replace("'text'", "'texts'"), "`f` has the unknown parameter `texts`"),
        (table.replace("'text'", "'buffer'"), "`f` has 1 buffers; there is one where the result is a text"),
        (table.replace("'flag'", "'bool'"), "`f` has the unknown result `bool`"),
        (table.replace("'eval'", "'now'"), "`f` has the unknown phase `now`"),
        (table.replace("-1", "-2"), "error `e` has the code -2, expected -1"),
        (twice, "`f` is there twice"),
    ] {
        let error = HostApiSource::parse(&text).expect_err("the table is wrong").to_string();
        assert_eq!(error, format!("host_api.toml: {expected}"));
    }
}
