//! `eqlc sign`: adds a signature to a pack. The pack's content and its hash stay as they are.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::Outcome;
use crate::build::plural;
use crate::pack_file::{hash_text, open_pack, read_private_key, write_whole};
use crate::report::say;

/// `eqlc sign`.
#[derive(Debug, Args)]
pub struct SignArguments {
    /// The pack.
    pack: PathBuf,
    /// The private key, as `eqlc keygen` makes it; may be given again for more signatures.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Where the signed pack goes; in place of the pack itself unless said otherwise.
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

/// Signs the pack.
pub fn sign(arguments: &SignArguments) -> anyhow::Result<Outcome> {
    let keys = arguments.key.iter().map(|path| read_private_key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut pack = open_pack(&arguments.pack)?;
    for key in &keys {
        pack = pack.sign(key).with_context(|| format!("cannot sign `{}`", arguments.pack.display()))?;
    }
    let output = arguments.output.as_ref().unwrap_or(&arguments.pack);
    write_whole(output, pack.bytes()).with_context(|| format!("cannot write `{}`", output.display()))?;
    let ids: Vec<String> = keys.iter().map(|key| format!("key {}", key.id())).collect();
    let signatures = plural(pack.signatures().len(), "signature");
    say!("{}: signed by {}, {signatures} in all, sha256 {}", output.display(), ids.join(", "), hash_text(&pack));
    Ok(Outcome::Done)
}
