//! The `eqlc` command: reads arguments, calls the library, prints what came of it.
//!
//! Results go to standard output, diagnostics to standard error. Exit status: 0 done; 1 the rules have errors, a test
//! failed or a check found something; 2 usage, or a file that cannot be read or written.

mod bench;
mod build;
mod coverage;
mod diff;
mod explain;
mod format;
mod inspect;
mod keygen;
mod pack_file;
mod report;
mod run;
mod shell;
mod show;
mod sign;
mod test;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use eqlc::syntax::Dialect;
use kestrel_schema::Schema;

use report::MessageFormat;

/// Compiles EQL rules to packs, checks, runs, tests and explains them.
#[derive(Debug, Parser)]
#[command(name = "eqlc", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How diagnostics are written on standard error.
    #[arg(long, global = true, value_enum, default_value_t = MessageFormat::Human)]
    message_format: MessageFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds all rules below the paths into one pack.
    Build(build::BuildArguments),
    /// Reports every mistake of the rules below the paths; writes nothing.
    Check(build::CheckArguments),
    /// Runs a query over files of events.
    Run(run::RunArguments),
    /// Asks for queries and runs them over files of events.
    Shell(shell::ShellArguments),
    /// Runs the rules' tests.
    Test(test::TestArguments),
    /// Formats rule files in place.
    Fmt(format::FormatArguments),
    /// Prints a rule as one stage of the compiler has it.
    Show(show::ShowArguments),
    /// Tells what a rule needs and costs, what the kernel decides of it, and how far it comes in events.
    Explain(explain::ExplainArguments),
    /// Tells for which share of the Linux rules a live engine collects the events and fields that they ask for.
    Coverage(coverage::CoverageArguments),
    /// Explains an error code.
    ExplainError {
        /// The code, such as E0201.
        code: String,
    },
    /// Lists the fields of the schema.
    Fields {
        /// Only those whose name holds this text, or matches it as a wildcard pattern.
        pattern: Option<String>,
        #[command(flatten)]
        schema: SchemaArgument,
    },
    /// Prints what a pack holds, or takes it out.
    Inspect(inspect::InspectArguments),
    /// Tells what changed from one pack to another.
    Diff(diff::DiffArguments),
    /// Measures what each rule of a pack costs, and each runtime.
    Bench(bench::BenchArguments),
    /// Makes a key that signs packs.
    Keygen(keygen::KeygenArguments),
    /// Signs a pack.
    Sign(sign::SignArguments),
    /// Checks a pack, and who signed it.
    Verify(verify::VerifyArguments),
}

/// `--schema`.
#[derive(Debug, Args)]
pub struct SchemaArgument {
    /// A schema file; the built-in schema is ECS with Elastic Defend's host fields.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

impl SchemaArgument {
    /// Reads the schema.
    ///
    /// # Errors
    /// When the file cannot be read or has mistakes, which are all told.
    pub fn load(&self) -> anyhow::Result<Schema> {
        let Some(path) = &self.schema else { return Ok(Schema::ecs()) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow::anyhow!("cannot read the schema file `{}`: {error}", path.display()))?;
        Schema::from_toml(&text).map_err(|error| anyhow::anyhow!("the schema file `{}`: {error}", path.display()))
    }
}

/// `--dialect`.
#[derive(Debug, Args)]
pub struct DialectArgument {
    /// The dialect of the rules that do not name their own. Left out, the form of a file decides: behaviour rules are in
    /// `endpoint`, all others in `elastic`.
    #[arg(long, value_enum)]
    dialect: Option<DialectWord>,
}

impl DialectArgument {
    /// The dialect that was asked for.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect.map(|word| match word {
            DialectWord::Elastic => Dialect::Elastic,
            DialectWord::Endpoint => Dialect::Endpoint,
            DialectWord::Classic => Dialect::Classic,
        })
    }
}

/// The dialects as words.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum DialectWord {
    /// What Elasticsearch accepts.
    Elastic,
    /// What host behaviour rules use: a superset.
    Endpoint,
    /// The old pipes besides.
    Classic,
}

/// What a command ends with when nothing went wrong outside the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Status 0.
    Done,
    /// Status 1: the rules have errors, a test failed, a check found something.
    Found,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = arguments.message_format;
    let result = match arguments.command {
        Command::Build(arguments) => build::build(&arguments, format),
        Command::Check(arguments) => build::check(&arguments, format),
        Command::Run(arguments) => run::run(&arguments, format),
        Command::Shell(arguments) => shell::shell(&arguments, format),
        Command::Test(arguments) => test::test(&arguments, format),
        Command::Fmt(arguments) => format::format(&arguments, format),
        Command::Show(arguments) => show::show(&arguments, format),
        Command::Explain(arguments) => explain::explain(&arguments, format),
        Command::Coverage(arguments) => coverage::coverage(&arguments, format),
        Command::ExplainError { code } => show::explain_error(&code),
        Command::Fields { pattern, schema } => show::fields(pattern.as_deref(), &schema),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Diff(arguments) => diff::diff(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Keygen(arguments) => keygen::keygen(&arguments),
        Command::Sign(arguments) => sign::sign(&arguments),
        Command::Verify(arguments) => verify::verify(&arguments),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        // A reader that has seen enough (`eqlc fields | head`) is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report::tell!("eqlc: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
