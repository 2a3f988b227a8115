//! The `eql-lsp` command: the language server on standard input and output.
//!
//! In: the command line and an editor. Out: the server's messages; the exit status is 0 when the editor asked for the end
//! (`shutdown`, then `exit`) or closed the stream after it, 1 when it left without asking, 2 for a wrong command line.

use std::process::ExitCode;

use eql_lsp::settings::Settings;

const HELP: &str = "\
The EQL language server. An editor starts it and speaks the Language Server Protocol with it.

Usage: eql-lsp [OPTIONS]

Options:
      --stdio            Use standard input and output (the default, and the only way)
      --schema <FILE>    Check names and types against this schema file instead of the built-in ECS
      --dialect <NAME>   The dialect of rules that do not name one: elastic, endpoint, classic
  -h, --help             Print this help
  -V, --version          Print the version

An editor may give `schema` and `dialect` as initialization options too; docs/editors.md shows how.
";

enum Asked {
    Serve(Box<Settings>),
    Print(String),
}

fn main() -> ExitCode {
    match read_arguments(std::env::args().skip(1)) {
        Ok(Asked::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Serve(settings)) => match run(*settings) {
            Ok(code) => ExitCode::from(code),
            Err(error) => failed(&format!("cannot start: {error}")),
        },
        Err(problem) => failed(&format!("{problem}; try --help")),
    }
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("eql-lsp: {problem}");
    ExitCode::from(2)
}

fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut settings = Settings::default();
    while let Some(argument) = arguments.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        match name {
            "--stdio" => {}
            "-h" | "--help" => return Ok(Asked::Print(HELP.to_owned())),
            "-V" | "--version" => return Ok(Asked::Print(format!("eql-lsp {}\n", env!("CARGO_PKG_VERSION")))),
            "--schema" | "--dialect" => {
                let value = attached.or_else(|| arguments.next()).ok_or_else(|| format!("`{name}` takes a value"))?;
                if name == "--schema" { settings.use_schema(&value) } else { settings.use_dialect(&value) }?;
            }
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok(Asked::Serve(Box::new(settings)))
}

fn run(settings: Settings) -> std::io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let code = runtime.block_on(eql_lsp::serve(tokio::io::stdin(), tokio::io::stdout(), settings));
    // A thread may still wait for input; the editor is not obliged to close the stream before the process is gone.
    runtime.shutdown_background();
    Ok(code)
}
