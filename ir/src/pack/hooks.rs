//! What the rules' actions need of the kernel.
//!
//! In: the rules with their actions. Out: names of hooks, `mechanism/function`. Only `block` needs any: to refuse what a
//! process asks for, an engine has to sit where the kernel asks for permission. `kill_process`, `quarantine_file` and
//! `alert` are carried out by the engine afterwards, from user space. This tells what a rule asks for, not what an engine
//! does: an engine that enforces nothing needs no hook.

use std::collections::BTreeSet;

use super::manifest::RuleInfo;
use crate::guards::predicate_kinds;
use crate::model::{Ir, PredicateId, Rule, RuleKind};
use kestrel_schema::{EventKind, event_kinds};

/// The LSM hooks at which the kernel asks whether an event of a kind may happen; two where it happens in two ways. A kind
/// that is not here is told after the fact, such as the end of a process, or has no such hook: nothing can block it.
const BLOCKING: [(&str, &str); 24] = [
    ("exec", "lsm/bprm_check_security"),
    ("fork", "lsm/task_alloc"),
    ("uid_change", "lsm/task_fix_setuid"),
    ("gid_change", "lsm/task_fix_setgid"),
    ("ptrace", "lsm/ptrace_access_check"),
    ("ptrace", "lsm/ptrace_traceme"),
    ("kill", "lsm/task_kill"),
    ("load_module", "lsm/kernel_read_file"),
    ("load_module", "lsm/kernel_load_data"),
    ("mmap", "lsm/mmap_file"),
    ("mprotect", "lsm/file_mprotect"),
    ("bpf", "lsm/bpf"),
    ("file_create", "lsm/path_mknod"),
    ("file_open", "lsm/file_open"),
    ("file_modify", "lsm/file_permission"),
    ("file_rename", "lsm/path_rename"),
    ("file_delete", "lsm/path_unlink"),
    ("file_chmod", "lsm/path_chmod"),
    ("file_chown", "lsm/path_chown"),
    ("file_link", "lsm/path_link"),
    ("connection_attempted", "lsm/socket_connect"),
    ("connection_accepted", "lsm/socket_accept"),
    ("bind", "lsm/socket_bind"),
    ("listen", "lsm/socket_listen"),
];

/// The hooks that the actions of these rules need, sorted: those of the kinds of event that the step of a `block` can want.
pub fn required_hooks(ir: &Ir, rules: &[RuleInfo]) -> Vec<String> {
    let blocks = |info: &&RuleInfo| info.actions.iter().any(|action| action.action == "block");
    if !rules.iter().any(|info| blocks(&info)) {
        return Vec::new();
    }
    let kinds = event_kinds();
    let wanted = predicate_kinds(ir, kinds);
    let mut hooks = BTreeSet::new();
    for (rule, info) in ir.rules.iter().zip(rules).filter(|(_, info)| blocks(info)) {
        for action in info.actions.iter().filter(|action| action.action == "block") {
            let wanted = blocked_predicate(rule, action.state).and_then(|predicate| wanted.get(predicate.index()));
            let wants = |kind: &&EventKind| wanted.is_some_and(|wanted| wanted.contains(&kind.id));
            let hooks_of = |kind: &EventKind| {
                let name = kind.name;
                BLOCKING.iter().filter(move |(blocked, _)| *blocked == name).map(|(_, hook)| *hook)
            };
            hooks.extend(kinds.iter().filter(wants).flat_map(hooks_of));
        }
    }
    hooks.into_iter().map(str::to_owned).collect()
}

/// The predicate of the event that is to be blocked: that of the action's step, or of the last one, which completes the
/// match.
fn blocked_predicate(rule: &Rule, state: Option<u32>) -> Option<PredicateId> {
    let step = |steps: &[crate::model::Step]| {
        let step = match state {
            Some(state) => steps.get(state as usize),
            None => steps.last(),
        };
        step.map(|step| step.predicate)
    };
    match &rule.kind {
        RuleKind::Event { predicate } => Some(*predicate),
        RuleKind::Sequence(sequence) => step(&sequence.steps),
        RuleKind::Sample { terms } => step(terms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_in_the_table_exists_and_is_there_once() {
        let entries: BTreeSet<(&str, &str)> = BLOCKING.into_iter().collect();
        assert_eq!(entries.len(), BLOCKING.len());
        for (name, hook) in entries {
            assert!(kestrel_schema::event_kind(name).is_some() && hook.starts_with("lsm/"), "{name} {hook}");
        }
    }
}
