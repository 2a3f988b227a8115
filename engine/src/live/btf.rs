//! Finds a type's number in the kernel's BTF by its name, for probes. (aya does this too, but keeps it to itself.)
//!
//! Goes in: the bytes of `/sys/kernel/btf/vmlinux` (format: Documentation/bpf/btf.rst of the kernel). Comes out: a number
//! that bpf(2) understands. Every read is checked.

/// `BTF_KIND_TYPEDEF`.
pub(super) const TYPEDEF: u32 = 8;
/// `BTF_KIND_FUNC`.
pub(super) const FUNCTION: u32 = 12;

/// The kernel's own types.
pub(super) struct KernelTypes {
    bytes: Vec<u8>,
}

impl KernelTypes {
    /// Reads them from where the kernel shows them.
    pub(super) fn read() -> std::io::Result<Self> {
        std::fs::read("/sys/kernel/btf/vmlinux").map(|bytes| KernelTypes { bytes })
    }

    /// The number of the type of this kind and name.
    pub(super) fn find(&self, kind: u32, name: &str) -> Option<u32> {
        find(&self.bytes, kind, name)
    }
}

fn find(bytes: &[u8], wanted_kind: u32, wanted_name: &str) -> Option<u32> {
    // struct btf_header: magic, version, flags, hdr_len, type_off, type_len, str_off, str_len.
    if bytes.first_chunk::<2>() != Some(&0xeb9f_u16.to_ne_bytes()) {
        return None;
    }
    let header = word(bytes, 4)?;
    let section = |offset_at, length_at| {
        let start = header.checked_add(word(bytes, offset_at)?)? as usize;
        bytes.get(start..start.checked_add(word(bytes, length_at)? as usize)?)
    };
    let types = section(8, 12)?;
    let strings = section(16, 20)?;

    let mut at = 0;
    // Number 0 is void and not written down.
    for number in 1.. {
        // struct btf_type: name_off, info, size or type; then what the kind says.
        let name = word(types, at)? as usize;
        let info = word(types, at + 4)?;
        let kind = info >> 24 & 0x1f;
        if kind == wanted_kind {
            let rest = strings.get(name..)?;
            if rest.strip_prefix(wanted_name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)) {
                return Some(number);
            }
        }
        at += 12 + extra(kind, (info & 0xffff) as usize)?;
    }
    None
}

/// Bytes behind a type of this kind with so many members.
fn extra(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        // int, var, declaration tag
        1 | 14 | 17 => 4,
        // pointer, forward, typedef, volatile, const, restrict, function, float, type tag
        2 | 7..=12 | 16 | 18 => 0,
        // array
        3 => 12,
        // struct, union, data section, 64-bit enum
        4 | 5 | 15 | 19 => 12 * members,
        // enum, function prototype
        6 | 13 => 8 * members,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types: 1 = int "int", 2 = typedef "int_t" to 1.
    fn made_up() -> Vec<u8> {
        let strings = b"\0int\0int_t\0";
        let types: Vec<u32> = vec![1, 1 << 24, 4, 32, 5, TYPEDEF << 24, 1];
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for header in [24, 0, 28, 28, strings.len() as u32] {
            bytes.extend(u32::to_ne_bytes(header));
        }
        types.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn a_type_is_found_by_kind_and_whole_name() {
        assert_eq!(find(&made_up(), TYPEDEF, "int_t"), Some(2));
        assert_eq!(find(&made_up(), 1, "int"), Some(1));
        assert_eq!(find(&made_up(), TYPEDEF, "int"), None);
        assert_eq!(find(&made_up(), TYPEDEF, "int_"), None);
    }

    #[test]
    fn damaged_types_never_panic() {
        let whole = made_up();
        for length in 0..whole.len() {
            assert_eq!(find(whole.get(..length).unwrap_or_default(), FUNCTION, "x"), None);
            for value in [0, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[length] = value;
                find(&damaged, FUNCTION, "x");
            }
        }
    }
}
