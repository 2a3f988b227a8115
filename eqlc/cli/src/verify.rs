//! `eqlc verify`: whether a pack is whole, what its parts are, and who signed it.
//!
//! The code in a pack is compared with what this compiler makes of the pack's rules. That it differs is no failure: another
//! build made it, or somebody edited the Lua source by hand. The Wasm module is loaded, in its sandbox; Lua is not, because
//! loading it runs it, with the rights of this process.

use std::path::PathBuf;

use clap::Args;
use eqlc::compile::{lua_source, wasm_module};
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::pack::{Pack, PackSignature, PublicKey};

use crate::Outcome;
use crate::build::plural;
use crate::pack_file::{hash_text, read_bytes, read_public_key};
use crate::report::say;
use crate::run::printable;

/// `eqlc verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The pack.
    pack: PathBuf,
    /// A public key whose signature counts; may be given again. Then one valid signature by one of the keys is needed.
    #[arg(long, value_name = "PUB")]
    key: Vec<PathBuf>,
}

/// What came of one check.
enum Verdict {
    Good(String),
    /// Something to know that is no failure.
    Note(String),
    Bad(String),
}

/// Checks the pack.
pub fn verify(arguments: &VerifyArguments) -> anyhow::Result<Outcome> {
    let keys = arguments.key.iter().map(|path| read_public_key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let path = arguments.pack.display();
    let bytes = read_bytes(&arguments.pack)?;
    let pack = match Pack::read(&bytes) {
        Ok(pack) => pack,
        Err(error) => {
            say!("{path}: {} bytes\nno    content         {}", bytes.len(), printable(&error.to_string()));
            return Ok(Outcome::Found);
        }
    };
    say!("{path}: {} bytes, sha256 {}", bytes.len(), hash_text(&pack));
    let rules = pack.manifest().rules.len();
    let checks = [
        ("content", Verdict::Good("the hash is right, and the parts agree".to_owned())),
        ("rules", Verdict::Good(format!("{} verified", plural(rules, "rule")))),
        ("module.wasm", module(&pack)),
        ("predicates.lua", predicates(&pack)),
        ("signature", signature(&pack, &keys)),
    ];
    let mut outcome = Outcome::Done;
    for (what, verdict) in checks {
        let (word, text) = match verdict {
            Verdict::Good(text) => ("ok", text),
            Verdict::Note(text) => ("note", text),
            Verdict::Bad(text) => {
                outcome = Outcome::Found;
                ("no", text)
            }
        };
        say!("{word:5} {what:15} {}", printable(&text));
    }
    Ok(outcome)
}

fn module(pack: &Pack) -> Verdict {
    let Some(module) = pack.module() else { return Verdict::Note("not in the pack".to_owned()) };
    let parts = RuntimeParts { ir: pack.ir(), wasm: Some(module), lua: None };
    if let Err(error) = create(RuntimeKind::Wasm, &parts) {
        return Verdict::Bad(error.to_string());
    }
    match wasm_module(pack.ir()) {
        Ok(own) if own == module => Verdict::Good("loads; it is what this compiler makes of the rules".to_owned()),
        Ok(_) => Verdict::Note(format!("loads; {OTHER}")),
        Err(error) => Verdict::Note(format!("loads; it cannot be compared: {error}")),
    }
}

fn predicates(pack: &Pack) -> Verdict {
    let Some(source) = pack.predicates() else { return Verdict::Note("not in the pack".to_owned()) };
    match lua_source(pack.ir()) {
        Ok(own) if own == source => Verdict::Good("it is what this compiler makes of the rules".to_owned()),
        Ok(_) => Verdict::Note(OTHER.to_owned()),
        Err(error) => Verdict::Note(format!("it cannot be compared: {error}")),
    }
}

const OTHER: &str = "it is not what this compiler makes of the rules: another build made it, or it was edited";

fn signature(pack: &Pack, keys: &[PublicKey]) -> Verdict {
    if !keys.is_empty() {
        return match pack.verify_signature(keys) {
            Ok(key) => {
                let comment = if key.comment().is_empty() { String::new() } else { format!(" ({})", key.comment()) };
                Verdict::Good(format!("valid, by key {}{comment}", key.id()))
            }
            Err(error) => Verdict::Bad(error.to_string()),
        };
    }
    match signers(pack.signatures()) {
        None => Verdict::Note("not signed".to_owned()),
        Some(signers) => Verdict::Note(format!("by {signers}; not checked, because no `--key` was named")),
    }
}

/// Whose signatures there are; `None` when there are none.
pub fn signers(signatures: &[PackSignature]) -> Option<String> {
    let ids: Vec<String> = signatures.iter().map(|signature| format!("key {}", signature.key)).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}
