//! Loads the kernel programs, and attaches those that somebody wants.
//!
//! Goes in: the kinds of event that are wanted. Comes out: programs at their places, and for each kind that cannot be had
//! the reason. What nobody wants is not even loaded. Dropping [`Attachments`] detaches everything.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FEntry, FExit, Program, ProgramError, SockOps,
    TracePoint,
};
use aya::{Btf, Ebpf, EbpfLoader};
use kestrel_bpf::record::Kind;

use super::cgroup::CgroupRoot;
use super::programs::{self, Attach, CgroupPlace, Hook, Plan};
use super::source::Tier;
use super::tracefs::TraceFs;
use super::{KindSet, LiveError, probe, sys};

/// How long dropping waits for the kernel to let programs go. It does so within milliseconds, but not at once: whoever
/// looks right after the engine has ended must find nothing.
const RELEASE_WAIT: Duration = Duration::from_secs(2);

/// The loaded object and what of it is attached.
pub(super) struct Attachments {
    /// Empty only while this is dropped.
    programs: Option<Ebpf>,
    links: HashMap<Hook, Link>,
    /// The kernel's types while programs are being loaded; they take some 15 MB.
    types: Option<Btf>,
    /// Opened when the first system call is wanted.
    tracefs: Option<TraceFs>,
    /// Threads in which links to system calls are closed.
    leaving: Vec<JoinHandle<()>>,
    /// Whether a system call's tracepoint took a program when it was tried.
    has_tried_system_calls: bool,
    /// Opened when the first program of a cgroup is wanted.
    cgroup: Option<CgroupRoot>,
}

/// What keeps a program at its place.
enum Link {
    Typed(aya::programs::tp_btf::BtfTracePointLinkId),
    Begin(aya::programs::fentry::FEntryLinkId),
    End(aya::programs::fexit::FExitLinkId),
    Packets(aya::programs::cgroup_skb::CgroupSkbLinkId),
    Sockets(aya::programs::sock_ops::SockOpsLinkId),
    /// Closing it detaches, and takes some 60 ms.
    SystemCall(OwnedFd),
}

/// How a kind is served.
#[derive(Debug)]
pub(super) struct Served {
    /// The kind.
    pub(super) kind: Kind,
    /// By what, or why not at all.
    pub(super) by: Result<Tier, LiveError>,
}

impl Attachments {
    /// Creates the maps; loads no program yet.
    pub(super) fn load(ring_bytes: u32) -> Result<Self, LiveError> {
        probe::require_capabilities()?;
        let btf = kernel_types()?;
        let cpus = aya::util::nr_cpus().map_err(|(what, error)| LiveError::system(what, error))?;
        let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
        let programs = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries(kestrel_bpf::maps::RING, ring_bytes)
            .map_max_entries(kestrel_bpf::maps::SCRATCH, cpus.saturating_mul(kestrel_bpf::maps::SCRATCH_SLOTS))
            .map_max_entries(kestrel_bpf::maps::EXEC_SCRATCH, cpus)
            .load(kestrel_bpf::OBJECT)
            .map_err(LiveError::object)?;
        Ok(Attachments {
            programs: Some(programs),
            links: HashMap::new(),
            types: Some(btf),
            tracefs: None,
            leaving: Vec::new(),
            has_tried_system_calls: false,
            cgroup: None,
        })
    }

    /// A map of the object, which the caller owns from now on and must hold as long as this: programs that are loaded
    /// later know it by its descriptor, and a number that was closed would be another file's.
    pub(super) fn take_map<M>(&mut self, name: &str) -> Result<M, LiveError>
    where
        M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
    {
        let map = self.programs.as_mut().and_then(|programs| programs.take_map(name));
        M::try_from(map.ok_or_else(|| LiveError::missing(name))?).map_err(LiveError::map)
    }

    /// Attaches what these kinds need and nothing else; each kind with the best plan that the kernel accepts.
    pub(super) fn want(&mut self, kinds: KindSet) -> Vec<Served> {
        let mut served = Vec::new();
        let mut kept = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|&kind| kinds.contains(kind)) {
            let mut by = Err(LiveError::no_plan(kind));
            for plan in programs::plans(kind) {
                match self.attach_plan(plan) {
                    Ok(()) => {
                        kept.extend(plan.needs.iter().flat_map(|need| need.hooks));
                        by = Ok(plan.tier);
                        break;
                    }
                    // The reason of the last plan counts: it asks least of the host.
                    Err(error) => by = Err(error),
                }
            }
            served.push(Served { kind, by });
        }
        let unwanted: Vec<Hook> = self.links.keys().filter(|hook| !kept.contains(hook)).copied().collect();
        let slow: Vec<OwnedFd> = unwanted.into_iter().filter_map(|hook| self.detach(hook)).collect();
        self.leaving.retain(|thread| !thread.is_finished());
        if !slow.is_empty() {
            // Records go on coming meanwhile, and must be read. Their kinds are switched off, so nothing runs for nothing.
            self.leaving.push(std::thread::spawn(move || drop(slow)));
        }
        if self.types.take().is_some() {
            sys::trim_memory();
        }
        served
    }

    /// Attaches all of a plan. What was attached before an error stays; [`Attachments::want`] cleans up.
    pub(super) fn attach_plan(&mut self, plan: &Plan) -> Result<(), LiveError> {
        for need in plan.needs {
            let mut answer = Ok(());
            for &hook in need.hooks {
                answer = self.attach(hook);
                if answer.is_ok() {
                    break;
                }
            }
            if !need.optional {
                answer?;
            }
        }
        Ok(())
    }

    /// Whether a plan would work: every program is loaded, and what is quickly taken away again is attached. That cannot be
    /// said of a system call's tracepoint, for which the kernel waits some 60 ms before it lets go: of those one stands for
    /// all, and of the others it is only seen that the place is there.
    pub(super) fn try_plan(&mut self, plan: &Plan) -> Result<(), LiveError> {
        for need in plan.needs {
            let mut answer = Ok(());
            for &hook in need.hooks {
                answer = match hook.attach {
                    Attach::Enter(_) | Attach::Leave(_) if self.has_tried_system_calls => self.load_for(hook),
                    Attach::Enter(_) | Attach::Leave(_) => {
                        self.attach(hook).inspect(|()| self.has_tried_system_calls = true)
                    }
                    _ => self.attach(hook),
                };
                if answer.is_ok() {
                    break;
                }
            }
            if !need.optional {
                answer?;
            }
        }
        Ok(())
    }

    /// Takes everything from its place; programs stay loaded.
    pub(super) fn detach_all(&mut self) {
        let attached: Vec<Hook> = self.links.keys().copied().collect();
        attached.into_iter().for_each(|hook| drop(self.detach(hook)));
    }

    fn attach(&mut self, hook: Hook) -> Result<(), LiveError> {
        if self.links.contains_key(&hook) {
            return Ok(());
        }
        let name = hook.program;
        let program = self.programs.as_mut().and_then(|programs| programs.program_mut(name));
        let program = program.ok_or_else(|| LiveError::missing(name))?;
        let link = match hook.attach {
            Attach::Tracepoint(tracepoint) => {
                let program: &mut BtfTracePoint =
                    program.try_into().map_err(|error| LiveError::program(name, error))?;
                if program.fd().is_err() {
                    let types = types_of(&mut self.types)?;
                    patiently(|| program.load(tracepoint, types)).map_err(|error| LiveError::program(name, error))?;
                }
                Link::Typed(program.attach().map_err(|error| LiveError::program(name, error))?)
            }
            Attach::FunctionBegin(function) => {
                let program: &mut FEntry = program.try_into().map_err(|error| LiveError::program(name, error))?;
                if program.fd().is_err() {
                    let types = types_of(&mut self.types)?;
                    patiently(|| program.load(function, types)).map_err(|error| LiveError::program(name, error))?;
                }
                Link::Begin(program.attach().map_err(|error| LiveError::program(name, error))?)
            }
            Attach::FunctionEnd(function) => {
                let program: &mut FExit = program.try_into().map_err(|error| LiveError::program(name, error))?;
                if program.fd().is_err() {
                    let types = types_of(&mut self.types)?;
                    patiently(|| program.load(function, types)).map_err(|error| LiveError::program(name, error))?;
                }
                Link::End(program.attach().map_err(|error| LiveError::program(name, error))?)
            }
            Attach::Enter(_) | Attach::Leave(_) => {
                let program: &mut TracePoint = program.try_into().map_err(|error| LiveError::program(name, error))?;
                let number = load_for_system_call(program, &mut self.tracefs, hook)?;
                let fd = program.fd().map_err(|error| LiveError::program(name, error))?;
                let link = sys::attach_to_tracepoint(fd.as_fd().as_raw_fd(), number);
                Link::SystemCall(link.map_err(|error| LiveError::attach(hook.attach, error))?)
            }
            Attach::Cgroup(place) => {
                let root = match &self.cgroup {
                    Some(root) => root,
                    None => self.cgroup.insert(CgroupRoot::open()?),
                };
                attach_to_cgroup(program, place, root).map_err(|error| LiveError::program(name, error))?
            }
        };
        self.links.insert(hook, link);
        Ok(())
    }

    /// Loads a system call's program and sees that its place is there.
    fn load_for(&mut self, hook: Hook) -> Result<(), LiveError> {
        let name = hook.program;
        let program = self.programs.as_mut().and_then(|programs| programs.program_mut(name));
        let program = program.ok_or_else(|| LiveError::missing(name))?;
        let program: &mut TracePoint = program.try_into().map_err(|error| LiveError::program(name, error))?;
        load_for_system_call(program, &mut self.tracefs, hook).map(|_| ())
    }

    /// Takes a program from its place; what is given back does so when it is dropped, and that takes its time.
    fn detach(&mut self, hook: Hook) -> Option<OwnedFd> {
        let link = match self.links.remove(&hook)? {
            Link::SystemCall(link) => return Some(link),
            link => link,
        };
        let program = self.programs.as_mut().and_then(|programs| programs.program_mut(hook.program));
        // It can only fail for a link that is not there any more.
        let _ = match (link, program) {
            (Link::Typed(link), Some(Program::BtfTracePoint(program))) => program.detach(link),
            (Link::Begin(link), Some(Program::FEntry(program))) => program.detach(link),
            (Link::End(link), Some(Program::FExit(program))) => program.detach(link),
            (Link::Packets(link), Some(Program::CgroupSkb(program))) => program.detach(link),
            (Link::Sockets(link), Some(Program::SockOps(program))) => program.detach(link),
            _ => Ok(()),
        };
        None
    }

    /// Numbers of the programs that are loaded.
    pub(super) fn loaded(&self) -> Vec<u32> {
        let programs = self.programs.iter().flat_map(Ebpf::programs);
        programs.filter_map(|(_, program)| program.info().ok().map(|info| info.id())).collect()
    }

    /// See [`super::Ledger::missed_runs`].
    pub(super) fn missed_runs(&self) -> u64 {
        let programs = self.programs.iter().flat_map(Ebpf::programs);
        let loaded = programs.filter_map(|(_, program)| program.fd().ok().map(|fd| fd.as_fd().as_raw_fd()));
        // A kernel that does not tell has nothing to tell of.
        loaded.filter_map(|fd| sys::missed_runs(fd).ok()).sum()
    }

    /// How many places have a program.
    #[cfg(test)]
    pub(super) fn attached(&self) -> usize {
        self.links.len()
    }
}

impl Drop for Attachments {
    fn drop(&mut self) {
        let ours = self.loaded();
        self.links.clear();
        for thread in self.leaving.drain(..) {
            // It only closes descriptors, and cannot panic.
            let _ = thread.join();
        }
        drop(self.programs.take());
        let deadline = Instant::now() + RELEASE_WAIT;
        while Instant::now() < deadline
            && aya::programs::loaded_programs().flatten().any(|program| ours.contains(&program.id()))
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Loads a program if it is not; the number of its place.
fn load_for_system_call(program: &mut TracePoint, tracefs: &mut Option<TraceFs>, hook: Hook) -> Result<u64, LiveError> {
    if program.fd().is_err() {
        patiently(|| program.load()).map_err(|error| LiveError::program(hook.program, error))?;
    }
    let tracefs = match tracefs {
        Some(tracefs) => tracefs,
        None => tracefs.insert(TraceFs::open()?),
    };
    tracefs.number(hook.attach)
}

/// Beside other programs, whoever they belong to: a link adds to what is there (Linux 5.7 and later).
fn attach_to_cgroup(program: &mut Program, place: CgroupPlace, root: &CgroupRoot) -> Result<Link, ProgramError> {
    let direction = match place {
        CgroupPlace::Egress => CgroupSkbAttachType::Egress,
        CgroupPlace::Ingress => CgroupSkbAttachType::Ingress,
        CgroupPlace::SocketOperations => {
            let program: &mut SockOps = program.try_into()?;
            if program.fd().is_err() {
                patiently(|| program.load())?;
            }
            return program.attach(root, CgroupAttachMode::Single).map(Link::Sockets);
        }
    };
    let program: &mut CgroupSkb = program.try_into()?;
    if program.fd().is_err() {
        patiently(|| program.load())?;
    }
    program.attach(root, direction, CgroupAttachMode::Single).map(Link::Packets)
}

/// Loads a program, again if a signal came: the kernel gives up verifying it then, and says that one should try again.
fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    const TRIES: u32 = 5;
    for _ in 1..TRIES {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            answer => return answer,
        }
    }
    load()
}

/// The kernel's types, read when they are first asked for.
fn types_of(types: &mut Option<Btf>) -> Result<&Btf, LiveError> {
    Ok(match types {
        Some(types) => types,
        None => types.insert(kernel_types()?),
    })
}

fn kernel_types() -> Result<Btf, LiveError> {
    Btf::from_sys_fs().map_err(LiveError::no_btf)
}
