//! The constants that generated packs and events are made of: few, so that tests are met often, and the edges of every
//! type among them.

use kestrel_ir::cidr::Cidr;
use kestrel_ir::fold::fold;
use kestrel_ir::model::{Comparison, Order};

use super::Random;

/// Texts: paths, names, both cases, characters whose folding is not ASCII (the Kelvin sign, final sigma, sharp s, the
/// dotted capital I), outside of the basic plane, controls, texts that look like other types, and none at all.
pub const TEXTS: [&str; 28] = [
    "sh",
    "SH",
    "bash",
    "Bash",
    "cmd.exe",
    "CMD.EXE",
    "/bin/sh",
    "/tmp/x",
    "/tmp/x.sh",
    "curl http://x | sh",
    "",
    "a",
    "abc",
    "straße",
    "STRASSE",
    "Σίσυφος",
    "σίσυφοσ",
    "\u{212a}elvin",
    "kelvin",
    "\u{130}x",
    "😀b",
    "a\nb\u{0}\"\\",
    "10.0.0.1",
    "1.2",
    "true",
    "0x1F",
    "7",
    "-443",
];

/// Wildcard patterns over them.
pub const PATTERNS: [&str; 20] = [
    "*", "?", "??", "*sh", "b?sh", "?h", "cmd*", "*.exe", "/tmp/*", "*/x*", "*curl*sh", "a*", "*ß*", "σ*", "k*n",
    "*\n*", "c*d*e", "?b", "1*", "",
];

/// Regular expressions over them: every construct, intersection and complement among them.
pub const REGEXES: [&str; 20] = [
    "[a-z]+",
    ".*sh",
    "/(bin|tmp)/.+",
    "",
    "b?a?s+h",
    "cmd.*",
    "\\w*\\.exe",
    ".*curl.*\\|.*",
    "Σ.*",
    "~(.*sh)",
    ".*s.*&.*h",
    "@",
    "#",
    "a{1,3}",
    "(ab|a)(c|bcd)?",
    "[^a-z]*",
    "kelvin",
    "<1-20>\\.<0-9>.*",
    "\"a\".*",
    "(x|~(a+))b?",
];

/// Integers with their edges: of 64 bits, of what a decimal holds exactly, of 32 bits, ports, and small ones.
pub const INTEGERS: [i64; 19] = [
    i64::MIN,
    i64::MIN + 1,
    -(1 << 53) - 1,
    -(1 << 53),
    -4096,
    -1,
    0,
    1,
    2,
    3,
    7,
    443,
    4096,
    (1 << 32) - 1,
    1 << 32,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    i64::MAX,
];

/// Decimals, finite: both zeros, halves, the least positive one, what no integer is, and the neighbours of 2^53 and 2^63.
pub const FLOATS: [f64; 16] = [
    0.0,
    -0.0,
    0.5,
    1.0,
    1.5,
    2.0,
    7.5,
    -3.25,
    443.0,
    5e-324,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    1e300,
    -1.797_693_134_862_315_7e308,
];

/// What no constant may be, and a source had better not send.
pub const ODD_FLOATS: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// Dates, in nanoseconds since 1970: around the day of a stream's events, before 1970, and the edges.
pub const DATES: [i64; 8] = [
    1_700_000_000_000_000_000,
    1_700_000_000_000_000_001,
    1_700_000_000_999_000_000,
    1_699_999_999_999_999_999,
    0,
    -1,
    i64::MAX,
    i64::MIN,
];

/// Addresses of both families, an IPv4-mapped one among them.
pub const ADDRESSES: [&str; 10] = [
    "10.0.0.1",
    "10.255.1.2",
    "192.168.7.7",
    "0.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "2001:db8::7",
    "::ffff:10.0.0.1",
];

/// Blocks of them.
pub const BLOCKS: [&str; 11] = [
    "10.0.0.0/8",
    "10.0.0.1",
    "192.168.0.0/16",
    "0.0.0.0/0",
    "255.255.255.255/32",
    "::/0",
    "::1",
    "fe80::/10",
    "2001:db8::/33",
    "10.0.0.0/31",
    "::ffff:0:0/96",
];

/// Versions, and what is none.
pub const VERSIONS: [&str; 12] = [
    "1.0.0",
    "1.2",
    "1.2.0",
    "1.10.0-rc.1",
    "1.10.0-rc.2",
    "1.10.0",
    "v2",
    "2+build",
    "0",
    "18446744073709551616.0",
    "odd",
    "",
];

/// An order.
pub fn order(random: &mut Random) -> Order {
    random.pick(&[Order::Less, Order::LessEqual, Order::Greater, Order::GreaterEqual])
}

/// A comparison.
pub fn comparison(random: &mut Random) -> Comparison {
    let order = order(random);
    random.pick(&[Comparison::Equal, Comparison::NotEqual, Comparison::Ordered(order), Comparison::Ordered(order)])
}

/// Between one and `most` of a pool, mostly few.
pub fn some<T: Copy>(random: &mut Random, pool: &[T], most: usize) -> Vec<T> {
    let count = if random.once_in(8) { 1 + random.below(most) } else { 1 + random.below(3) };
    (0..count).map(|_| random.pick(pool)).collect()
}

/// A list of strings as atoms want it: folded when asked, sorted, each once.
pub fn sorted(texts: &[&str], folded: bool) -> Vec<String> {
    let one = |text: &&str| if folded { fold(text).into_owned() } else { (*text).to_owned() };
    let mut strings: Vec<String> = texts.iter().map(one).collect();
    strings.sort_unstable();
    strings.dedup();
    strings
}

/// A list of regular expressions, each once, in the order in which they came.
pub fn each_once(texts: &[&str]) -> Vec<String> {
    let mut strings: Vec<String> = Vec::new();
    for text in texts {
        if !strings.iter().any(|known| known == text) {
            strings.push((*text).to_owned());
        }
    }
    strings
}

/// Blocks as atoms want them.
pub fn blocks(random: &mut Random) -> Vec<Cidr> {
    let mut blocks: Vec<Cidr> = some(random, &BLOCKS, 8).into_iter().filter_map(Cidr::parse).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}
