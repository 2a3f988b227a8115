//! Writes a record as the kernel programs do: for tests, fixtures and fuzzing of everything that reads records.

use super::bytes::Writer;
use super::{Body, Record};
use crate::layout::{self, RECORD_VERSION};

impl Record<'_> {
    /// The record's bytes, such that [`Record::parse`] gives the same record back. No limit is enforced here, so that
    /// tests can write what the kernel never would.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.put(layout::header::VERSION, &RECORD_VERSION.to_le_bytes());
        writer.put(layout::header::KIND, &self.header.kind.number().to_le_bytes());
        writer.put(layout::header::TIMESTAMP, &self.header.timestamp.to_le_bytes());
        writer.put(layout::header::SEQUENCE, &self.header.sequence.to_le_bytes());
        writer.put(layout::header::CPU, &self.header.cpu.to_le_bytes());
        writer.put(layout::header::FLAGS, &self.header.flags.0.to_le_bytes());
        self.encode_task(&mut writer);
        match &self.body {
            Body::Exec(exec) => exec.encode(&mut writer),
            Body::Fork(fork) => fork.encode(&mut writer),
            Body::Exit(exit) => exit.encode(&mut writer),
            Body::Network(network) => network.encode(&mut writer),
            Body::SessionIdChange | Body::UidChange | Body::GidChange => {}
            Body::Kill(kill) => kill.encode(&mut writer),
            Body::Ptrace(ptrace) => ptrace.encode(&mut writer),
            Body::MemfdCreate(memfd) => memfd.encode(&mut writer),
            Body::LoadModule(module) => module.encode(&mut writer),
            Body::Mmap(memory) | Body::Mprotect(memory) => memory.encode(&mut writer),
            Body::Bpf(bpf) => bpf.encode(&mut writer),
            Body::File(file) => file.encode(&mut writer),
        }
        writer.finish()
    }

    fn encode_task(&self, writer: &mut Writer) {
        use layout::task::*;
        let task = &self.task;
        for (offset, value) in [
            (START_TIME, task.start_time),
            (PARENT_START_TIME, task.parent_start_time),
            (CGROUP_ID, task.cgroup_id),
            (CAPABILITIES_PERMITTED, task.capabilities_permitted),
            (CAPABILITIES_EFFECTIVE, task.capabilities_effective),
        ] {
            writer.put(layout::header::SIZE + offset, &value.to_le_bytes());
        }
        let flags = [(task.kernel_thread, 1), (task.remembered, 2), (task.interactive, 4)];
        let flags: u32 = flags.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
        for (offset, value) in [
            (PID, task.pid),
            (PARENT_PID, task.parent_pid),
            (SESSION_ID, task.session_id),
            (GROUP_ID, task.group_id),
            (NAMESPACE_PID, task.namespace_pid),
            (USER_ID, task.user_id),
            (USER_GROUP_ID, task.user_group_id),
            (EFFECTIVE_USER_ID, task.effective_user_id),
            (EFFECTIVE_GROUP_ID, task.effective_group_id),
            (SAVED_USER_ID, task.saved_user_id),
            (SAVED_GROUP_ID, task.saved_group_id),
            (TTY_MAJOR, task.tty_major),
            (TTY_MINOR, task.tty_minor),
            (MOUNT_NAMESPACE, task.mount_namespace),
            (PID_NAMESPACE, task.pid_namespace),
            (NETWORK_NAMESPACE, task.network_namespace),
            (FLAGS, flags),
            (THREAD_ID, task.thread_id),
        ] {
            writer.put(layout::header::SIZE + offset, &value.to_le_bytes());
        }
        writer.put(layout::header::SIZE + COMM, &task.comm);
    }
}
