//! Writes what kernel programs need to know of the schema: the numbers of the event kinds and the schema's hash.
//!
//! In: the schema's source. Out: the text of `kestrel_schema.h`, plain C that needs no other header.

use std::fmt::Write;

use super::Source;

const HEAD: &str = "\
/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The numbers of the event kinds. Written by `cargo xtask schema` from ir/schema/kinds.toml: do not edit. */
#ifndef KESTREL_SCHEMA_H
#define KESTREL_SCHEMA_H

";

/// The text of `bpf/include/kestrel_schema.h`.
pub fn generate_c_header(source: &Source) -> String {
    let mut text = HEAD.to_owned();
    text.push_str("/* A number is never given to another kind: records and logs carry it. */\n");
    text.push_str("enum kestrel_kind {\n\tKESTREL_KIND_NONE = 0,\n");
    for kind in &source.kinds {
        let reserved = if kind.live { "" } else { " Not produced yet." };
        let _ = writeln!(text, "\t/* {}{reserved} */", kind.doc);
        let _ = writeln!(text, "\tKESTREL_KIND_{} = {},", kind.name.to_uppercase(), kind.id);
    }
    let limit = source.kinds.last().map_or(1, |kind| u32::from(kind.id) + 1);
    text.push_str("\t/* One more than the greatest number: the size of a table indexed by kind. */\n");
    let _ = writeln!(text, "\tKESTREL_KIND_LIMIT = {limit},\n}};\n");

    let hash = source.hash();
    text.push_str("/* SHA-256 of the built-in schema, as an initialiser of 32 bytes. */\n#define KESTREL_SCHEMA_HASH \\\n\t{ \\\n");
    for row in hash.chunks(8) {
        let bytes: Vec<String> = row.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let _ = writeln!(text, "\t\t{}, \\", bytes.join(", "));
    }
    text.push_str("\t}\n\n");
    let prefix = hash.iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    text.push_str(
        "/* The first eight bytes of that hash as a big-endian number, for a header that has no room for all. */\n",
    );
    let _ = writeln!(text, "#define KESTREL_SCHEMA_HASH_PREFIX 0x{prefix:016x}ULL\n");
    text.push_str("#endif /* KESTREL_SCHEMA_H */\n");
    text
}
