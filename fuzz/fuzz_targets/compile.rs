//! See `kestrel_fuzz::language::compiling`.
#![no_main]

use std::sync::LazyLock;

use kestrel_schema::Schema;

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::ecs);

libfuzzer_sys::fuzz_target!(|data: &[u8]| kestrel_fuzz::with_text(data, |text| {
    kestrel_fuzz::language::compiling(text, &SCHEMA);
}));
