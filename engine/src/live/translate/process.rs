//! What processes do to themselves and to each other: the fields that only these kinds have.

use kestrel_bpf::record::{Body, Memory, Record, ReversedPath, Target, push_lossy};
use kestrel_ir::event::FieldNumber;

use super::images::{push_display, push_some};
use super::{Translator, names};
use crate::live::network;
use crate::process_table::EntityId;

impl Translator {
    /// Fills what the record's kind has beyond its actor.
    pub(super) fn fill_act(&mut self, record: &Record<'_>) {
        let (fields, task) = (&self.fields.act, &record.task);
        let event = &mut self.event;
        match &record.body {
            Body::Network(socket) => network::fill(event, &self.fields, record.header.kind, socket),
            Body::UidChange => {
                push_display(event, &mut self.text, fields.saved_user_id, task.saved_user_id);
                push_display(event, &mut self.text, fields.changed_user_id, task.effective_user_id);
            }
            Body::GidChange => push_display(event, &mut self.text, fields.saved_group_id, task.saved_group_id),
            Body::Kill(kill) => {
                event.push_integer(fields.signal_number, kill.signal.into());
                self.text.clear();
                names::signal(kill.signal, &mut self.text);
                event.push_text(fields.signal_name, &self.text);
                self.fill_target(kill.target);
            }
            Body::Ptrace(ptrace) => {
                match names::ptrace_request(ptrace.request) {
                    Some(name) => event.push_text(fields.ptrace_request, name),
                    None => push_display(event, &mut self.text, fields.ptrace_request, ptrace.request),
                }
                event.push_integer(fields.ptrace_child, ptrace.target.pid.into());
                self.fill_target(ptrace.target);
            }
            Body::MemfdCreate(memfd) => {
                event.push_integer(fields.memfd_flags, memfd.flags.into());
                for (field, flag) in [
                    (fields.memfd_cloexec, 1),
                    (fields.memfd_allow_seal, 2),
                    (fields.memfd_hugetlb, 4),
                    (fields.memfd_noexec_seal, 8),
                    (fields.memfd_exec, 16),
                ] {
                    event.push_boolean(field, memfd.flags & flag != 0);
                }
                let name = memfd.name.strip_prefix(b"memfd:").unwrap_or(memfd.name);
                self.fill_bytes(fields.memfd_name, name);
            }
            Body::LoadModule(module) => {
                let (name, arguments) = (fields.driver_name, fields.module_args);
                let path = fields.driver_path;
                self.fill_bytes(name, module.name);
                self.fill_bytes(arguments, module.arguments);
                self.fill_path(path, module.path);
            }
            Body::Mmap(memory) => {
                for flag in names::mapping_flags(memory.flags) {
                    event.push_text(fields.memory_flags, flag);
                }
                self.fill_memory(memory);
            }
            Body::Mprotect(memory) => {
                if let Some(old) = memory.protection_old {
                    event.push_text(fields.memory_protection_old, &names::protection(old));
                }
                self.fill_memory(memory);
            }
            Body::Bpf(bpf) => {
                match names::bpf_command(bpf.command) {
                    Some(name) => event.push_text(fields.bpf_command, name),
                    None => push_display(event, &mut self.text, fields.bpf_command, bpf.command),
                }
                match names::bpf_program_type(bpf.program_type) {
                    Some(name) => event.push_text(fields.bpf_type, name),
                    None => push_display(event, &mut self.text, fields.bpf_type, bpf.program_type),
                }
                self.fill_bytes(fields.bpf_name, bpf.name);
            }
            Body::File(file) => self.fill_file(record.header.kind, file),
            Body::Exec(_) | Body::Fork(_) | Body::Exit(_) | Body::SessionIdChange => {}
        }
    }

    /// The process that an act is aimed at, as far as the table knows it.
    fn fill_target(&mut self, target: Target) {
        let (event, fields) = (&mut self.event, &self.fields.act);
        event.push_integer(fields.target_pid, target.pid.into());
        let id = EntityId::from_start_time(target.pid, target.start_time);
        let process = match target.start_time {
            0 => self.table.by_pid(target.pid),
            _ => self.table.get(id),
        };
        if target.start_time != 0 || process.is_some() {
            let id = process.map_or(id, |process| process.facts.id);
            push_display(event, &mut self.text, fields.target_entity_id, self.host.boot.print(id));
        }
        if let Some(process) = process {
            push_some(event, fields.target_name, &process.image.name);
            push_some(event, fields.target_executable, &process.image.executable);
        }
    }

    fn fill_memory(&mut self, memory: &Memory<'_>) {
        let (event, fields) = (&mut self.event, &self.fields.act);
        // An address of the upper half is the kernel's; none of these is.
        event.push_integer(fields.memory_address, memory.address as i64);
        event.push_integer(fields.memory_size, i64::try_from(memory.length).unwrap_or(i64::MAX));
        event.push_text(fields.memory_protection, &names::protection(memory.protection));
        self.fill_path(fields.memory_path, memory.path);
    }

    /// Bytes as text; nothing when there are none.
    pub(super) fn fill_bytes(&mut self, field: FieldNumber, bytes: &[u8]) {
        self.text.clear();
        push_lossy(&mut self.text, bytes);
        push_some(&mut self.event, field, &self.text);
    }

    fn fill_path(&mut self, field: FieldNumber, path: Option<ReversedPath<'_>>) {
        self.text.clear();
        if let Some(path) = path {
            path.write_to(&mut self.text);
        }
        push_some(&mut self.event, field, &self.text);
    }
}
