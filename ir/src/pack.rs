//! Packs: the one file in which rules travel from the compiler to the engine.
//!
//! In: the parts ([`PackBuilder`]) or the bytes of a `.kpkg` file, possibly hostile. Out: a checked [`Pack`] with its
//! bytes. The same parts give the same bytes; nothing of the machine or the moment is in them. The layout is described
//! for people in `docs/pack-format.md`:
//!
//! ```text
//!  0  8 bytes  magic                         8  u16 major   10  u16 minor   12  u32 number of sections, n
//! 16  32 bytes content hash (SHA-256)
//! 48  n times 24 bytes: u32 id | u32 flags | u64 offset | u64 length
//!     sections in the order of the table, each 8-aligned, zeros between, nothing behind the last
//! ```
//!
//! Reading checks the container, then the hash, then each section, then the IR with
//! [`verify`], then that the parts agree with each other. It trusts nothing, allocates no more than
//! a fixed multiple of the file, and never panics. Whom a pack comes from is told by its signatures, which lie in a section
//! outside the hash and which whoever loads packs may ask for ([`Pack::verify_signature`]).

use std::ops::Range;
use std::thread;

use crate::guards;
use crate::model::Ir;
use crate::verify::verify;
use kestrel_schema::Schema;

mod check;
mod choice;
mod container;
mod error;
mod hooks;
pub mod key;
mod manifest;
pub mod signature;

pub use check::{MAX_PREDICATE_KEYS, MAX_PROGRAM, MAX_SUPPRESSION_FIELDS};
pub use container::{
    DETACHED, HEADER_SIZE, MAGIC, MAX_PACK_SIZE, MAX_SECTIONS, PACK_MAJOR, PACK_MINOR, SectionId, SectionInfo,
};
pub use error::{PackError, PackProblem};
pub use hooks::required_hooks;
pub use key::{KeyError, KeyId, PrivateKey, PublicKey};
pub use manifest::{
    ActionInfo, CompilerInfo, EventFieldsInfo, FilterKey, FilterMaps, FilterTest, KeyUse, KindKeys, KindReason,
    Manifest, PackFile, PredicateInfo, PredicateKeys, ProgramFile, RuleInfo, StateBudget, SuppressionInfo, TacticInfo,
    TechniqueInfo, ThreatInfo, WorstCase, capabilities, state_budget,
};
pub use signature::{PackSignature, SignatureError};

/// A pack that was read or built: everything in it is checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pack {
    bytes: Vec<u8>,
    /// The minor version of the format that it was written in.
    minor: u16,
    sections: Vec<SectionInfo>,
    content_hash: [u8; 32],
    manifest: Manifest,
    ir: Ir,
    module: Option<Range<usize>>,
    predicates: Option<Range<usize>>,
    filters: FilterMaps,
    filter_keys: Vec<KindKeys>,
    predicate_keys: PredicateKeys,
    sources: Vec<PackFile>,
    tests: Vec<PackFile>,
    signatures: Vec<PackSignature>,
    programs: Vec<ProgramFile>,
    /// The rules that this pack had and that were not wanted.
    left_out: Vec<String>,
}

/// The parts of a pack to be built.
#[derive(Debug, Clone, PartialEq)]
pub struct PackBuilder {
    /// What people and engines want to know without reading the rules. [`PackBuilder::build`] fills in what follows from
    /// the IR and the filter maps: required fields, kinds and hooks, the state budget, and what the hand-written predicates
    /// are.
    pub manifest: Manifest,
    /// The rules.
    pub ir: Ir,
    /// The predicates as a Wasm module.
    pub module: Option<Vec<u8>>,
    /// The predicates as Lua source for LuaJIT.
    pub predicates: Option<String>,
    /// What the kernel may drop.
    pub filters: FilterMaps,
    /// What the kernel may ask of the events of a kind, ascending by kind.
    pub filter_keys: Vec<KindKeys>,
    /// The same predicate by predicate, for whoever runs some of the rules.
    pub predicate_keys: PredicateKeys,
    /// The rules' source files; their order does not matter.
    pub sources: Vec<PackFile>,
    /// The rules' tests with the alerts that they expect; their order does not matter.
    pub tests: Vec<PackFile>,
    /// The code of the hand-written predicates, in the order of the IR's.
    pub programs: Vec<ProgramFile>,
}

impl PackBuilder {
    /// A pack of these rules that has nothing else yet.
    pub fn new(manifest: Manifest, ir: Ir) -> PackBuilder {
        PackBuilder {
            manifest,
            ir,
            module: None,
            predicates: None,
            filters: FilterMaps::default(),
            filter_keys: Vec::new(),
            predicate_keys: PredicateKeys::default(),
            sources: Vec::new(),
            tests: Vec::new(),
            programs: Vec::new(),
        }
    }

    /// Lays the parts out and checks them as [`Pack::read`] does.
    pub fn build(mut self) -> Result<Pack, PackError> {
        self.manifest.required_fields = guards::required_fields(&self.ir);
        self.manifest.required_kinds = self.filters.kinds.clone();
        self.manifest.required_hooks = required_hooks(&self.ir, &self.manifest.rules);
        self.manifest.state_budget = state_budget(&self.ir);
        self.manifest.capabilities = capabilities(&self.ir);
        for (rule, info) in self.ir.rules.iter().zip(&mut self.manifest.rules) {
            let program = rule.program.and_then(|program| self.ir.program(program));
            info.predicate = program.map(|program| check::predicate_info(&self.ir, program));
        }
        self.sources.sort_by(|left, right| left.path.cmp(&right.path));
        self.tests.sort_by(|left, right| left.path.cmp(&right.path));
        let mut sections = vec![
            (SectionId::MANIFEST, container::encode_json(&self.manifest)?),
            (SectionId::IR, container::encode(SectionId::IR, &self.ir)?),
            (SectionId::FILTERS, container::encode(SectionId::FILTERS, &self.filters)?),
            (SectionId::SOURCES, container::encode(SectionId::SOURCES, &self.sources)?),
            (SectionId::TESTS, container::encode(SectionId::TESTS, &self.tests)?),
        ];
        if let Some(module) = self.module {
            sections.push((SectionId::MODULE, module));
        }
        if let Some(predicates) = self.predicates {
            sections.push((SectionId::PREDICATES, predicates.into_bytes()));
        }
        // Readers of format 2.1 refuse a section 10 with tests that they do not know; for them such kinds pass whole.
        let (known, more): (Vec<&KindKeys>, Vec<&KindKeys>) =
            self.filter_keys.iter().partition(|keys| keys.is_of_2_1());
        for (id, keys) in [(SectionId::FILTER_KEYS, known), (SectionId::MORE_FILTER_KEYS, more)] {
            if !keys.is_empty() {
                sections.push((id, container::encode(id, &keys)?));
            }
        }
        if !self.predicate_keys.uses.is_empty() {
            let keys = container::encode(SectionId::PREDICATE_KEYS, &self.predicate_keys)?;
            sections.push((SectionId::PREDICATE_KEYS, keys));
        }
        if !self.programs.is_empty() {
            sections.push((SectionId::PROGRAMS, container::encode(SectionId::PROGRAMS, &self.programs)?));
        }
        sections.sort_by_key(|(id, _)| *id);
        let parts: Vec<(SectionId, u32, &[u8])> =
            sections.iter().map(|(id, bytes)| (*id, 0, bytes.as_slice())).collect();
        Pack::from_bytes(container::write(PACK_MINOR, &parts)?)
    }
}

/// A pack from so many bytes on is hashed by a thread of its own: below, making one takes longer than it saves.
const HASHED_ASIDE: usize = 1 << 20;

/// What the sections hold, each part checked by itself.
struct Parts {
    manifest: Manifest,
    ir: Ir,
    filters: FilterMaps,
    filter_keys: Vec<KindKeys>,
    predicate_keys: PredicateKeys,
    sources: Vec<PackFile>,
    tests: Vec<PackFile>,
    programs: Vec<ProgramFile>,
    module: Option<Range<usize>>,
    predicates: Option<Range<usize>>,
    signatures: Vec<PackSignature>,
}

impl Parts {
    fn decode(bytes: &[u8], sections: &[SectionInfo]) -> Result<Parts, PackError> {
        let section = |id: SectionId| container::section(bytes, sections, id);
        let manifest = container::decode_json(section(SectionId::MANIFEST)?)?;
        let ir: Ir = container::decode(SectionId::IR, section(SectionId::IR)?)?;
        let filters: FilterMaps = container::decode(SectionId::FILTERS, section(SectionId::FILTERS)?)?;
        let sources = container::decode(SectionId::SOURCES, section(SectionId::SOURCES)?)?;
        let tests = container::decode(SectionId::TESTS, section(SectionId::TESTS)?)?;
        let optional = |id: SectionId| sections.iter().find(|info| info.id == id).map(SectionInfo::range);
        let (module, predicates) = (optional(SectionId::MODULE), optional(SectionId::PREDICATES));
        if let Some(range) = &predicates {
            container::text(SectionId::PREDICATES, bytes.get(range.clone()).unwrap_or_default())?;
        }
        let programs = match optional(SectionId::PROGRAMS) {
            Some(range) => container::decode(SectionId::PROGRAMS, bytes.get(range).unwrap_or_default())?,
            None => Vec::new(),
        };
        let mut filter_keys: Vec<KindKeys> = Vec::new();
        for id in [SectionId::FILTER_KEYS, SectionId::MORE_FILTER_KEYS] {
            let Some(range) = optional(id) else { continue };
            let keys: Vec<KindKeys> = container::decode(id, bytes.get(range).unwrap_or_default())?;
            check::check_filter_keys(&keys)?;
            filter_keys.extend(keys);
        }
        filter_keys.sort_by_key(|keys| keys.kind);
        let predicate_keys = match optional(SectionId::PREDICATE_KEYS) {
            Some(range) => container::decode(SectionId::PREDICATE_KEYS, bytes.get(range).unwrap_or_default())?,
            None => PredicateKeys::default(),
        };
        let signatures = signature::read(bytes, sections)?;
        verify(&ir).map_err(PackProblem::Ir)?;
        Ok(Parts {
            manifest,
            ir,
            filters,
            filter_keys,
            predicate_keys,
            sources,
            tests,
            programs,
            module,
            predicates,
            signatures,
        })
    }
}

impl Pack {
    /// Reads the bytes of a `.kpkg` file.
    ///
    /// # Errors
    ///
    /// Says which of the checks failed, see [`PackProblem`]. A pack of another major version is told apart from a broken
    /// one.
    pub fn read(bytes: &[u8]) -> Result<Pack, PackError> {
        Pack::from_bytes(bytes.to_vec())
    }

    /// The same with bytes that the pack keeps.
    ///
    /// # Errors
    ///
    /// As [`Pack::read`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Pack, PackError> {
        let (sections, content_hash) = container::read(&bytes)?;
        let hash = || container::check_hash(&bytes, &sections, content_hash);
        let decode = || Parts::decode(&bytes, &sections);
        // A large pack is hashed while it is decoded: decoding trusts nothing, hash or no hash. What the hash says comes
        // first all the same.
        let parts = thread::scope(|scope| {
            let hashing = match bytes.len() < HASHED_ASIDE {
                true => None,
                false => thread::Builder::new().spawn_scoped(scope, hash).ok(),
            };
            let Some(hashing) = hashing else {
                hash()?;
                return decode();
            };
            let parts = decode();
            hashing.join().unwrap_or_else(|_| hash())?;
            parts
        })?;
        let Parts {
            manifest,
            ir,
            filters,
            filter_keys,
            predicate_keys,
            sources,
            tests,
            programs,
            module,
            predicates,
            signatures,
        } = parts;
        let pack = Pack {
            manifest,
            ir,
            filters,
            filter_keys,
            predicate_keys,
            sources,
            tests,
            programs,
            module,
            predicates,
            signatures,
            content_hash,
            sections,
            minor: container::minor(&bytes),
            bytes,
            left_out: Vec::new(),
        };
        check::check(&pack)?;
        Ok(pack)
    }

    /// The same pack without what only people and compilers look at: the rules' sources and tests, and of the file's bytes all
    /// but the compiled predicates. For an engine, which keeps its packs as long as it runs; such a pack cannot be written.
    pub fn for_matching(mut self) -> Pack {
        let mut code = Vec::new();
        for part in [&mut self.module, &mut self.predicates].into_iter().flatten() {
            let start = code.len();
            code.extend_from_slice(self.bytes.get(part.clone()).unwrap_or_default());
            *part = start..code.len();
        }
        code.shrink_to_fit();
        self.bytes = code;
        self.sections = Vec::new();
        self.sources = Vec::new();
        self.tests = Vec::new();
        self
    }

    /// The bytes of the `.kpkg` file, those that were read when the pack was read.
    pub fn write(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The bytes of the `.kpkg` file, borrowed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The version of the format that the pack was written in, major and minor.
    pub fn format_version(&self) -> (u16, u16) {
        (PACK_MAJOR, self.minor)
    }

    /// SHA-256 over the versions and all sections, those outside the hash left out. Names the pack's content.
    pub fn content_hash(&self) -> [u8; 32] {
        self.content_hash
    }

    /// All sections, also those that this build does not know.
    pub fn sections(&self) -> &[SectionInfo] {
        &self.sections
    }

    /// The bytes of a section.
    pub fn section(&self, id: SectionId) -> Option<&[u8]> {
        let info = self.sections.iter().find(|info| info.id == id)?;
        self.bytes.get(info.range())
    }

    /// The same pack with one more section outside the hash, such as a signature; one of the same id is replaced. The
    /// content hash stays.
    pub fn with_detached_section(&self, id: SectionId, content: &[u8]) -> Result<Pack, PackError> {
        let kept = self.sections.iter().filter(|info| info.id != id);
        let mut parts: Vec<(SectionId, u32, &[u8])> =
            kept.map(|info| (info.id, info.flags, self.bytes.get(info.range()).unwrap_or_default())).collect();
        parts.push((id, DETACHED, content));
        Pack::from_bytes(container::write(container::minor(&self.bytes), &parts)?)
    }

    /// What people and engines want to know without reading the rules.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The rules.
    pub fn ir(&self) -> &Ir {
        &self.ir
    }

    /// The predicates as a Wasm module. Whether it is one is not checked here.
    pub fn module(&self) -> Option<&[u8]> {
        self.bytes.get(self.module.clone()?)
    }

    /// The predicates as Lua source.
    pub fn predicates(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(self.predicates.clone()?)?).ok()
    }

    /// What the kernel may drop.
    pub fn filters(&self) -> &FilterMaps {
        &self.filters
    }

    /// What the kernel may ask of the events of a kind, ascending by kind.
    pub fn filter_keys(&self) -> &[KindKeys] {
        &self.filter_keys
    }

    /// The same predicate by predicate; empty in packs of earlier compilers.
    pub fn predicate_keys(&self) -> &PredicateKeys {
        &self.predicate_keys
    }

    /// The rules' source files, by path.
    pub fn sources(&self) -> &[PackFile] {
        &self.sources
    }

    /// The rules' tests, by path.
    pub fn tests(&self) -> &[PackFile] {
        &self.tests
    }

    /// The code of the hand-written predicates, in the order of the IR's.
    pub fn programs(&self) -> &[ProgramFile] {
        &self.programs
    }

    /// Whether the fields of the pack mean the same under `schema`.
    ///
    /// # Errors
    ///
    /// [`PackProblem::Schema`] when the schemas' hashes differ and a field that the rules read has another type there, or
    /// is not there at all. Schemas that differ elsewhere are no error.
    pub fn check_schema(&self, schema: &Schema) -> Result<(), PackError> {
        check::check_schema(self, schema)
    }
}
