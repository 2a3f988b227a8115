//! The editors' files: whether they are whole, agree with the compiler about its words, and highlight what they should.
//!
//! The grammars are asked through VS Code's own engine where Node and `npm install` have made that possible; elsewhere
//! that one check says why it is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use eqlc::syntax::token::Keyword;
use eqlc::types::functions::names;
use serde_json::Value;

fn editors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("editors")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(editors().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_extension_is_whole() {
    let package = json("vscode/package.json");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    let contributes = &package["contributes"];
    let mut files = vec![package["main"].clone(), contributes["languages"][0]["configuration"].clone()];
    for grammar in contributes["grammars"].as_array().expect("grammars") {
        let path = grammar["path"].as_str().expect("a path");
        assert_eq!(json(&format!("vscode/{path}"))["scopeName"], grammar["scopeName"]);
        files.push(grammar["path"].clone());
    }
    for file in files {
        let file = file.as_str().expect("a path").to_owned();
        assert!(editors().join("vscode").join(&file).exists(), "{file}");
    }
    json("vscode/language-configuration.json");
}

#[test]
fn the_grammar_knows_the_words_of_the_compiler() {
    let grammar = json("vscode/syntaxes/eql.tmLanguage.json");
    let functions = grammar["repository"]["functions"]["match"].as_str().expect("a pattern");
    let known: Vec<&str> = functions.split(['(', '|', ')']).collect();
    for name in names() {
        assert!(known.contains(&name), "function {name}");
    }
    let words = format!("{} {}", grammar["repository"]["keywords"], grammar["repository"]["constants"]);
    let known: Vec<&str> = words.split(|character: char| !character.is_ascii_lowercase()).collect();
    for word in Keyword::ALL {
        assert!(known.contains(&word.text().trim_end_matches('~')), "keyword {}", word.text());
    }
}

#[test]
fn every_editor_starts_the_server_by_its_name() {
    for path in ["vscode/extension.js", "neovim/eql.lua", "helix/languages.toml", "zed/src/eql.rs"] {
        let text = read(path);
        assert!(text.contains("\"eql-lsp\"") && text.contains("\"--stdio\""), "{path}");
    }
}

#[test]
fn the_grammars_highlight_as_they_should() {
    let directory = editors().join("vscode");
    let Ok(output) = Command::new("node").arg("test/grammar.js").current_dir(&directory).output() else {
        println!("skipped: there is no `node` here");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) | Some(77) => print!("{told}"),
        code => panic!("node ended with {code:?}:\n{told}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
