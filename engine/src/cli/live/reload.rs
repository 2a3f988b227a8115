//! Other packs for a live run: read, checked and built in a thread of its own, so that events go on being read meanwhile.
//!
//! In: that somebody wants a reload or a rollback. Out: [`Built`], when it is ready, or why the old packs go on. Packs are read
//! from the paths of the start and checked against the keys that were read at the start. One change at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use kestrel_engine::control::{Question, Response};
use kestrel_engine::live::Wanted;
use kestrel_engine::session::suppression::SuppressionOptions;
use kestrel_engine::session::{NamedPack, PreparedPacks, Session, SessionOptions, System, TrustedKeys};
use kestrel_ir::event::FieldTable;

use super::super::options::{CacheTarget, RunOptions};
use super::super::report::say;
use super::super::run::read_packs;
use super::wanted::{compares_keys, wanted};

/// What packs are to be run instead of those that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Those that the files hold now.
    Reload,
    /// Those that ran before the last reload.
    Rollback,
}

impl Change {
    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Change::Reload => "reload",
            Change::Rollback => "rollback",
        }
    }
}

/// Packs that are ready to run.
pub(super) struct Built {
    pub(super) packs: Arc<[NamedPack]>,
    pub(super) session: Session,
    pub(super) wanted: Wanted,
    /// What whoever runs them should know.
    pub(super) warnings: Vec<String>,
}

/// Makes packs ready.
#[derive(Clone)]
struct Builder {
    paths: Vec<PathBuf>,
    trusted: TrustedKeys,
    system: System,
    session: SessionOptions,
    suppression: SuppressionOptions,
    code_cache: CacheTarget,
    compares_keys: bool,
    table: FieldTable,
}

/// A change under way.
struct Pending {
    change: Change,
    asked: Option<Question>,
    built: Receiver<anyhow::Result<Built>>,
}

/// Has packs replaced when somebody asks for it.
pub(super) struct Reloader {
    builder: Builder,
    pending: Option<Pending>,
    /// The packs before the last reload.
    previous: Option<Arc<[NamedPack]>>,
}

/// A change that is ready, or failed.
pub(super) struct Ready {
    pub(super) change: Change,
    /// Who waits for the answer.
    pub(super) asked: Option<Question>,
    pub(super) built: anyhow::Result<Built>,
}

impl Reloader {
    pub(super) fn new(options: &RunOptions, trusted: TrustedKeys, table: &FieldTable) -> Reloader {
        let builder = Builder {
            paths: options.packs.clone(),
            trusted,
            system: options.system,
            session: options.session,
            suppression: options.suppression.clone(),
            code_cache: options.code_cache.clone(),
            compares_keys: compares_keys(options),
            table: table.clone(),
        };
        Reloader { builder, pending: None, previous: None }
    }

    /// Begins a change; who asked, if not a signal, is answered when it is done, or now if it cannot begin.
    pub(super) fn begin(&mut self, change: Change, asked: Option<Question>) {
        let refuse = |asked: Option<Question>, why: &str| match asked {
            Some(asked) => asked.reply(Response::failed(why)),
            None => say(&format!("warning: {why}")),
        };
        if let Some(pending) = &self.pending {
            return refuse(asked, &format!("a {} is under way", pending.change.name()));
        }
        let kept = match (change, &self.previous) {
            (Change::Rollback, None) => {
                return refuse(asked, "there is nothing to go back to: no reload has changed the packs");
            }
            (Change::Rollback, Some(previous)) => Some(Arc::clone(previous)),
            (Change::Reload, _) => None,
        };
        let (builder, (sender, built)) = (self.builder.clone(), sync_channel(1));
        let started = thread::Builder::new().name("reload".to_owned()).spawn(move || {
            // Nobody waits for it when the run has ended.
            let _ = sender.send(builder.build(kept));
        });
        match started {
            Ok(_) => self.pending = Some(Pending { change, asked, built }),
            Err(error) => refuse(asked, &format!("the {} cannot begin: {error}", change.name())),
        }
    }

    /// Whether a change is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// The change that has become ready, or has failed.
    pub(super) fn ready(&mut self) -> Option<Ready> {
        let pending = self.pending.as_ref()?;
        let built = match pending.built.try_recv() {
            Ok(built) => built,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(anyhow::anyhow!("the thread that builds the packs has failed")),
        };
        let Pending { change, asked, .. } = self.pending.take()?;
        Some(Ready { change, asked, built })
    }

    /// Other packs run now in the place of `old`.
    pub(super) fn done(&mut self, change: Change, old: Arc<[NamedPack]>, new: &[NamedPack]) {
        let hashes = |packs: &[NamedPack]| packs.iter().map(|pack| pack.pack.content_hash()).collect::<Vec<_>>();
        match change {
            Change::Rollback => self.previous = None,
            // What is the same is nothing to go back to.
            Change::Reload if hashes(&old) == hashes(new) => {}
            Change::Reload => self.previous = Some(old),
        }
    }
}

impl Builder {
    /// Makes the packs of the files ready, or those that were kept.
    fn build(&self, kept: Option<Arc<[NamedPack]>>) -> anyhow::Result<Built> {
        let (packs, mut warnings) = match kept {
            Some(packs) => (packs, Vec::new()),
            None => {
                let (packs, copies) = read_packs(&self.paths, &self.trusted, self.system)?;
                (packs.into(), copies)
            }
        };
        let (cache, warning) = self.code_cache.open_for(self.session.runtime);
        warnings.extend(warning);
        let prepared = PreparedPacks::new(&packs, self.session, cache.as_ref())?;
        let mut session = Session::over_source(&prepared, &self.table)?;
        session.suppress(&packs, &self.suppression)?;
        warnings.extend_from_slice(session.warnings());
        let wanted = wanted(&packs, self.compares_keys);
        drop(prepared);
        Ok(Built { packs, session, wanted, warnings })
    }
}
