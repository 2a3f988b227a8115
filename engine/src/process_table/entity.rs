//! The names of processes: unique on this host, over all its boots, and the same whoever looks.
//!
//! The kernel's records carry a start time in nanoseconds; `/proc/PID/stat` shows the same number divided into clock
//! ticks (`nsec_to_clock_t` in kernel/time/time.c). So an id holds ticks, and both ways lead to one id.

use std::fmt;

/// Clock ticks per second as user space sees them: `USER_HZ`, which is 100 on every architecture that Kestrel runs on.
pub const TICKS_PER_SECOND: u64 = 100;
const NANOSECONDS_PER_TICK: u64 = 1_000_000_000 / TICKS_PER_SECOND;

/// A process, as long as the host is up: its number and when it began. A number is not used again within one tick, since
/// the kernel gives numbers in a circle of at least 32,768.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId {
    /// Clock ticks between the host's boot and the process's start.
    pub start_ticks: u64,
    /// The process's number in the initial PID namespace.
    pub pid: u32,
}

impl EntityId {
    /// The id of a process that the kernel's records tell of.
    pub fn from_start_time(pid: u32, nanoseconds: u64) -> Self {
        EntityId { pid, start_ticks: nanoseconds / NANOSECONDS_PER_TICK }
    }

    /// The id of a process that `/proc` shows.
    pub fn from_start_ticks(pid: u32, start_ticks: u64) -> Self {
        EntityId { pid, start_ticks }
    }
}

/// The start time of a number of ticks, in nanoseconds since boot.
pub fn ticks_to_nanoseconds(ticks: u64) -> u64 {
    ticks.saturating_mul(NANOSECONDS_PER_TICK)
}

/// This boot of this host, in short: makes entity ids of different boots and hosts different.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BootTag(pub u32);

impl BootTag {
    /// The tag of a boot id, such as `/proc/sys/kernel/random/boot_id` holds.
    pub fn new(boot_id: &str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(boot_id.trim().as_bytes());
        BootTag((hash ^ (hash >> 32)) as u32)
    }

    /// The id as it stands in events: tag, number and start in hexadecimal, such as `8c1f02aa-3e9-5b21`.
    pub fn print(self, id: EntityId) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{:08x}-{:x}-{:x}", self.0, id.pid, id.start_ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_proc_give_one_id() {
        // 12.349999999 s is 1,234 ticks.
        assert_eq!(EntityId::from_start_time(7, 12_349_999_999), EntityId::from_start_ticks(7, 1_234));
        assert_ne!(EntityId::from_start_time(7, 12_350_000_000), EntityId::from_start_ticks(7, 1_234));
    }

    #[test]
    fn ids_of_different_boots_differ() {
        let id = EntityId::from_start_ticks(1001, 23_329);
        let (one, other) = (BootTag::new("d5a1"), BootTag::new("d5a2"));
        assert_ne!(one.print(id).to_string(), other.print(id).to_string());
        assert_eq!(BootTag(0x8c1f_02aa).print(id).to_string(), "8c1f02aa-3e9-5b21");
    }
}
