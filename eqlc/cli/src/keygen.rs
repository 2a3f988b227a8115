//! `eqlc keygen`: a key that signs packs, in two files.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use kestrel_ir::pack::PrivateKey;

use crate::Outcome;
use crate::pack_file::write_new;
use crate::report::say;

/// `eqlc keygen`.
#[derive(Debug, Args)]
pub struct KeygenArguments {
    /// Where the key goes: the private half to NAME.key, which only its owner can read, the public one to NAME.pub.
    #[arg(short, long, value_name = "NAME")]
    output: PathBuf,
    /// What people should know about the key; both files carry it.
    #[arg(long, default_value = "", value_name = "TEXT")]
    comment: String,
}

/// Makes the key. Files that are there stay as they are.
pub fn keygen(arguments: &KeygenArguments) -> anyhow::Result<Outcome> {
    let (private, public) = (with_ending(&arguments.output, "key"), with_ending(&arguments.output, "pub"));
    for path in [&private, &public] {
        // Whoever overwrites a private key can never sign with it again.
        if path.symlink_metadata().is_ok() {
            bail!("`{}` is there already, and keys are not overwritten", path.display());
        }
    }
    let key = PrivateKey::generate(|seed| getrandom::fill(seed)).context("the system gives no random bytes")?;
    let key = key.with_comment(&arguments.comment)?;
    write_new(&private, 0o600, |file| key.write(file))?;
    if let Err(error) = write_new(&public, 0o644, |file| key.public().write(file)) {
        let _ = std::fs::remove_file(&private);
        return Err(error);
    }
    say!("key {}: private half in {}, public half in {}", key.id(), private.display(), public.display());
    Ok(Outcome::Done)
}

/// The name with an ending behind whatever it has: `team.release` is no file type.
fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut name = name.as_os_str().to_os_string();
    name.push(".");
    name.push(ending);
    name.into()
}
