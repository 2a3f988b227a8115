//! What works on this host and why the rest does not: the rows of `kestrel-engine doctor`.
//!
//! Every row is tried, none is read from a list. Nothing stays: what is loaded or attached is gone when the row is done.

use std::io::ErrorKind;

use kestrel_bpf::record::Kind;
use serde_json::{Value as Json, json};

use crate::live::{
    Check, FallbackSource, KindSet, LiveOptions, LiveSource, MatrixRow, Tier, kernel_support, matrix, sources,
};
use crate::runtime::code_cache::CodeCache;

/// All rows, and whether the engine can run live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The rows, in order.
    pub checks: Vec<Check>,
    /// Whether a live source starts.
    pub live: bool,
    /// Kind by kind, every source of this build: whether it can be had here, and why not.
    pub kinds: Vec<MatrixRow>,
}

/// Tries everything.
pub fn diagnose() -> Diagnosis {
    let mut checks = kernel_support();
    let source = live_source();
    let live = source.ok;
    checks.push(source);
    checks.push(wasm());
    checks.push(lua());
    checks.push(code_cache());
    Diagnosis { checks, live, kinds: matrix(&mut sources()) }
}

impl Diagnosis {
    /// The matrix for people.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Check { name, ok, detail } in &self.checks {
            let mark = if *ok { "ok" } else { "no" };
            text.push_str(&format!("{mark}  {name:width$}  {detail}\n"));
        }
        text.push_str(&self.matrix_text());
        text.push_str(match self.live {
            true => "the engine can run live on this host\n",
            false => "the engine cannot run live here; replays need none of this but a runtime\n",
        });
        text
    }

    /// The matrix for programs.
    pub fn json(&self) -> Json {
        let rows = self.checks.iter();
        let rows: Vec<Json> =
            rows.map(|check| json!({ "name": check.name, "ok": check.ok, "detail": check.detail })).collect();
        let kinds: Vec<Json> = self.kinds.iter().map(|row| self.row_json(row)).collect();
        json!({ "live": self.live, "checks": rows, "kinds": kinds })
    }

    /// The best source of a kind that this host allows is the one that the engine takes.
    fn is_taken(&self, row: &MatrixRow) -> bool {
        let first = self.kinds.iter().find(|other| other.kind == row.kind && other.why_not.is_none());
        first.is_some_and(|first| first.tier == row.tier)
    }

    fn row_json(&self, row: &MatrixRow) -> Json {
        json!({
            "kind": row.kind.name(),
            "source": row.tier.name(),
            "available": row.why_not.is_none(),
            "taken": self.is_taken(row),
            "needs": row.needs,
            "why_not": row.why_not.as_deref().map(in_short),
        })
    }

    fn matrix_text(&self) -> String {
        let mut text = String::from("\nkinds of events, and where each can come from (* is taken):\n");
        for row in &self.kinds {
            let mark = match (&row.why_not, self.is_taken(row)) {
                (None, true) => "*",
                (None, false) => "+",
                (Some(_), _) => "-",
            };
            let detail = match &row.why_not {
                None => row.needs.join(", "),
                Some(reason) => in_short(reason),
            };
            text.push_str(&format!("{mark}  {:<22} {:<9} {detail}\n", row.kind.name(), row.tier.name()));
        }
        text.push('\n');
        text
    }
}

/// A reason without the verifier's log: what was refused, and the last thing that the verifier said of it.
fn in_short(reason: &str) -> String {
    let said = |line: &&str| {
        let noise = ["processed ", "stack depth", "verification time", ": "];
        !line.trim().is_empty() && !noise.iter().any(|start| line.starts_with(start))
    };
    let mut lines = reason.lines().filter(said);
    let first = lines.next().unwrap_or_default();
    match lines.next_back() {
        Some(last) => format!("{first} … {last}"),
        None => first.to_owned(),
    }
}

fn live_source() -> Check {
    let refused = match LiveSource::open(LiveOptions::default()) {
        Ok(_) => return row("live source", true, "loads, attaches and detaches".to_owned()),
        Err(error) => error.with_causes(),
    };
    let options = LiveOptions { kinds: KindSet::all(), ..LiveOptions::default() };
    match FallbackSource::open(options, &[Tier::Audit, Tier::Fanotify]) {
        Ok(source) => {
            let kinds: Vec<&str> = source.available().map(Kind::name).collect();
            row("live source", true, format!("without eBPF, which is refused ({refused}): {}", kinds.join(", ")))
        }
        Err(error) => row("live source", false, format!("{refused}; without eBPF: {}", error.with_causes())),
    }
}

fn wasm() -> Check {
    // The empty module: magic and version.
    let module = wasmtime::Module::new(&wasmtime::Engine::default(), b"\0asm\x01\0\0\0");
    match module {
        Ok(_) => row("runtime wasm", true, "wasmtime compiles code".to_owned()),
        Err(error) => row("runtime wasm", false, format!("{error:#}")),
    }
}

fn lua() -> Check {
    let jit = mlua::Lua::new().load("return (jit.status())").eval::<bool>();
    match jit {
        Ok(true) if crate::runtime::lua::interruptible() => row("runtime lua", true, "LuaJIT compiles code".to_owned()),
        Ok(true) => {
            let reason = "LuaJIT interprets: in this build its compiled code could not be stopped";
            row("runtime lua", true, reason.to_owned())
        }
        Ok(false) => row("runtime lua", true, "LuaJIT interprets: its compiler is off here".to_owned()),
        Err(error) => row("runtime lua", false, error.to_string()),
    }
}

fn code_cache() -> Check {
    const NAME: &str = "code cache";
    let Some(folder) = CodeCache::usual_folder() else {
        return row(NAME, false, "the environment names no folder; `--code-cache DIR` does".to_owned());
    };
    // What is not there yet is not made: nothing stays.
    if std::fs::symlink_metadata(&folder).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return row(NAME, true, format!("{} will be made by the first run", folder.display()));
    }
    match CodeCache::check_folder(&folder) {
        Ok(()) => row(NAME, true, format!("{} can be used", folder.display())),
        Err(error) => row(NAME, false, error.to_string()),
    }
}

fn row(name: &'static str, ok: bool, detail: String) -> Check {
    Check { name, ok, detail }
}
