//! The smallest program: an ELF file that ends with a code of our choice. It needs no library, so it runs from a memory file, from
//! a deep folder, and in a virtual machine with nothing else on its disk.

/// The file's bytes: one header, one segment, three instructions.
pub(super) fn program(code: u8) -> Vec<u8> {
    let base: u64 = 0x40_0000;
    let (header, segment) = (64_u64, 56_u64);
    // mov edi, code; mov eax, 60 (exit); syscall
    let text = [0xbf, code, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let size = header + segment + text.len() as u64;
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [base + header + segment, header, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, base, base, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(text);
    file
}
