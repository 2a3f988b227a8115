//! `agree`: compares all runtimes with the interpreter on random packs, events and streams. `cargo xtask agree` builds and
//! starts it; `docs/agreement.md` says what it does.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use kestrel_conformance::agree::ask::every_runtime;
use kestrel_conformance::agree::found;
use kestrel_conformance::agree::run::{Options, Pack, run};
use kestrel_engine::runtime::RuntimeKind;

/// A minute's work on two cores.
const PAIRS: u64 = 2_000_000;
const STREAMS: u64 = 20_000;
const EVENTS: usize = 500;

fn main() -> ExitCode {
    match options().and_then(|options| agree(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("agree: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everybody agreed.
fn agree(options: &Options) -> Result<bool> {
    let runtimes: Vec<&str> = RuntimeKind::ALL.iter().map(|kind| kind.name()).collect();
    println!("seed {}, {} threads, runtimes: {}", options.seed, options.threads, runtimes.join(", "));
    let start = Instant::now();
    // A panic is a finding, told with its case; while it is made small there would be thousands more.
    std::panic::set_hook(Box::new(|_| {}));
    let tally = run(options, &every_runtime, &|line| eprintln!("{line}"));
    let _ = std::panic::take_hook();
    print!("{tally}");
    println!(
        "{} pairs, {} streams, seed {}, {} differences, {:.0} s",
        tally.pairs,
        tally.streams,
        options.seed,
        tally.differences,
        start.elapsed().as_secs_f64()
    );
    Ok(tally.differences == 0)
}

/// `--pairs N --streams N --seed S --minutes M --threads T --pack N --stream-pack N --save`
fn options() -> Result<Options> {
    let mut options = Options {
        pairs: PAIRS,
        streams: STREAMS,
        time: None,
        seed: 1,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        events: EVENTS,
        only: None,
        save: None,
    };
    let mut seed = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--save" {
            options.save = Some(found::path());
            continue;
        }
        let number = arguments.next().with_context(|| format!("`{argument}` wants a number"))?;
        let number: u64 = number.parse().with_context(|| format!("`{argument} {number}`: not a number"))?;
        match argument.as_str() {
            "--pairs" => options.pairs = number,
            "--streams" => options.streams = number,
            "--seed" => seed = Some(number),
            "--minutes" => options.time = Some(Duration::from_secs(number.saturating_mul(60))),
            "--threads" => options.threads = number as usize,
            "--pack" => options.only = Some(Pack::Pairs(number)),
            "--stream-pack" => options.only = Some(Pack::Streams(number)),
            _ => bail!("there is no option `{argument}`"),
        }
    }
    // Hours over the same packs would show nothing new.
    let fresh = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |now| now.as_secs());
    options.seed = seed.unwrap_or_else(|| if options.time.is_some() { fresh() } else { options.seed });
    Ok(options)
}
