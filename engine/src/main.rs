//! The `kestrel-engine` command. All of it is in [`cli`]; the work is in the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
