//! Why there are no live events, in words that say what to do.

use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// Why the live source could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// Not root, and without the capabilities that do instead.
    #[error(
        "live events need {missing}, which this process does not have; run as root, or give the binary \
         `setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep`"
    )]
    Capabilities {
        /// The missing capabilities.
        missing: String,
    },
    /// The kernel does not describe its types.
    #[error(
        "this kernel has no usable BTF at /sys/kernel/btf/vmlinux; it must be built with CONFIG_DEBUG_INFO_BTF=y \
         (every current distribution kernel is), and a container needs /sys mounted"
    )]
    NoBtf {
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// The kernel refused a program.
    #[error(
        "the kernel refused the program `{program}`; `kestrel-engine doctor` shows which program types work here, and \
         kernel lockdown or a seccomp profile around this process may be what forbids it"
    )]
    Refused {
        /// Its name.
        program: String,
        /// What the kernel or its verifier said.
        #[source]
        source: Source,
    },
    /// A program was accepted, but its place is not there or refuses it.
    #[error("nothing can be attached at `{place}`")]
    Attach {
        /// The place, as libbpf's section names say it.
        place: String,
        /// What the kernel said.
        #[source]
        source: Source,
    },
    /// No source of this build produces the kind.
    #[error("this version has no source for `{kind}` events")]
    NoPlan {
        /// The kind's name.
        kind: &'static str,
    },
    /// The object could not be loaded, or its maps could not be created.
    #[error(
        "the kernel programs could not be loaded; the kernel must be 5.17 or newer, the ring buffer size a power of two, \
         and there must be memory for it (see RLIMIT_MEMLOCK and the memory cgroup)"
    )]
    Load {
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// A map of the kernel programs could not be opened, read or written.
    #[error("a map of the kernel programs failed; if the engine was just updated, restart it")]
    Map {
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// The object lacks something that this engine expects: a fault of the build.
    #[error("the kernel object has no `{name}`; rebuild it with `cargo xtask bpf`")]
    Missing {
        /// The map or program.
        name: String,
    },
    /// Nothing gives events here.
    #[error("no source of events works on this host: eBPF: {ebpf}; without eBPF: {others}")]
    NoSource {
        /// Why the kernel programs do not.
        ebpf: String,
        /// Why the others do not.
        others: String,
    },
    /// A source without eBPF cannot be had.
    #[error("no events from {source_name}: {what}")]
    Fallback {
        /// Which.
        source_name: &'static str,
        /// What is missing, and what to do.
        what: String,
        /// What the kernel said.
        #[source]
        source: Source,
    },
    /// The operating system refused something else.
    #[error("{what} failed")]
    System {
        /// What was tried.
        what: String,
        /// Its answer.
        #[source]
        source: Source,
    },
}

impl LiveError {
    pub(super) fn no_btf(error: aya::BtfError) -> Self {
        LiveError::NoBtf { source: error.into() }
    }

    pub(super) fn object(error: aya::EbpfError) -> Self {
        LiveError::Load { source: error.into() }
    }

    pub(super) fn program(name: &str, error: aya::programs::ProgramError) -> Self {
        LiveError::Refused { program: name.to_owned(), source: error.into() }
    }

    pub(super) fn attach(place: impl std::fmt::Display, error: std::io::Error) -> Self {
        LiveError::Attach { place: place.to_string(), source: error.into() }
    }

    pub(super) fn no_plan(kind: kestrel_bpf::record::Kind) -> Self {
        LiveError::NoPlan { kind: kind.name() }
    }

    /// The message with those of its causes.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }

    pub(super) fn map(error: aya::maps::MapError) -> Self {
        LiveError::Map { source: error.into() }
    }

    pub(super) fn fallback(source_name: &'static str, what: &str, source: Source) -> Self {
        LiveError::Fallback { source_name, what: what.to_owned(), source }
    }

    pub(super) fn missing(name: &str) -> Self {
        LiveError::Missing { name: name.to_owned() }
    }

    pub(super) fn system(what: &str, error: std::io::Error) -> Self {
        LiveError::System { what: what.to_owned(), source: error.into() }
    }
}
