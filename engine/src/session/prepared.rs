//! Packs whose code is compiled, or came from the cache.

use super::{NamedPack, SessionError, SessionOptions};
use crate::program::{PreparedPrograms, ProgramOptions, ProgramParts};
use crate::runtime::code_cache::CodeCache;
use crate::runtime::{PreparedRuntime, RuntimeOptions, RuntimeParts};

/// Packs whose code is compiled. Compiling is what takes time, so a live run does it before its source is open.
pub struct PreparedPacks<'p> {
    pub(super) packs: &'p [NamedPack],
    pub(super) runtimes: Vec<PreparedRuntime>,
    pub(super) programs: Vec<PreparedPrograms>,
    pub(super) options: SessionOptions,
}

/// Where packs' machine code came from. All are 0 for runtimes that have none when a pack is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodeCounters {
    /// Packs whose code was in the cache.
    pub cached: u64,
    /// Packs whose code was compiled.
    pub compiled: u64,
    /// How many of these had something in the cache that did not pass the checks.
    pub refused: u64,
}

impl PreparedPacks<'_> {
    /// Compiles the code of these packs for a runtime, or takes it from `cache`.
    ///
    /// # Errors
    /// When the runtime does not take a pack's code, or a hand-written predicate is refused.
    pub fn new<'p>(
        packs: &'p [NamedPack],
        options: SessionOptions,
        cache: Option<&CodeCache>,
    ) -> Result<PreparedPacks<'p>, SessionError> {
        let prepare = |NamedPack { name, pack }: &NamedPack| {
            let parts = RuntimeParts { ir: pack.ir(), wasm: pack.module(), lua: pack.predicates() };
            PreparedRuntime::with(options.runtime, &parts, RuntimeOptions { profile: options.profile, cache })
                .map_err(|cause| SessionError::Runtime { name: name.clone(), cause })
        };
        let prepare_programs = |NamedPack { name, pack }: &NamedPack| {
            let category = &pack.manifest().event_fields.category;
            let parts = ProgramParts { ir: pack.ir(), code: pack.programs(), category };
            let limits = ProgramOptions { profile: options.profile, max_failures: options.max_program_failures };
            PreparedPrograms::new(&parts, limits).map_err(|cause| SessionError::Program { name: name.clone(), cause })
        };
        let runtimes: Result<Vec<PreparedRuntime>, SessionError> = packs.iter().map(prepare).collect();
        let programs: Result<Vec<PreparedPrograms>, SessionError> = packs.iter().map(prepare_programs).collect();
        Ok(PreparedPacks { packs, runtimes: runtimes?, programs: programs?, options })
    }

    pub(super) fn counters(&self) -> CodeCounters {
        let mut counters = CodeCounters::default();
        for origin in self.runtimes.iter().filter_map(PreparedRuntime::origin) {
            counters.cached += u64::from(origin.cached);
            counters.compiled += u64::from(!origin.cached);
            counters.refused += u64::from(origin.refused.is_some());
        }
        counters
    }

    /// What went wrong with the cache: each refusal, and the first reason why code was not kept.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let origins = || {
            let named = self.packs.iter().zip(&self.runtimes);
            named.filter_map(|(pack, runtime)| Some((&pack.name, runtime.origin()?)))
        };
        let refused = origins().filter_map(|(name, origin)| {
            let reason = origin.refused.as_ref()?;
            Some(format!("the cached code of {name} was not used and made anew: {reason}"))
        });
        let not_kept = origins().find_map(|(name, origin)| {
            let reason = origin.not_kept.as_ref()?;
            Some(format!("the code of {name} is not kept for the next time: {reason}"))
        });
        refused.chain(not_kept)
    }
}
