//! Ranges of addresses and of ports, as the kernel's filter compares them.
//!
//! In: the text of a key. Out: ranges of numbers, sorted, apart from each other and never more than the kernel has room for:
//! where there are too many, the smallest gaps are closed, so that more passes and never less. An address is the number of
//! its 128 bits, one of IPv4 mapped into IPv6.

use std::net::IpAddr;

/// The most ranges of one side of a table.
pub(super) const RANGES: usize = 64;

/// A set of numbers: first and last of each range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// `10.0.0.0/8 ::1/128`, or with `!` before it all but these.
    pub(super) fn of_addresses(text: &str) -> Option<Ranges> {
        Ranges::parse(text, u128::MAX, block)
    }

    /// `443 8000-8999`, or with `!` before it all but these.
    pub(super) fn of_ports(text: &str) -> Option<Ranges> {
        Ranges::parse(text, u16::MAX.into(), |item| {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
            (first <= last).then_some((first.into(), last.into()))
        })
    }

    fn parse(text: &str, most: u128, item: impl Fn(&str) -> Option<(u128, u128)>) -> Option<Ranges> {
        let (but, items) = match text.strip_prefix('!') {
            Some(items) => (true, items),
            None => (false, text),
        };
        let items: Option<Vec<_>> = items.split(' ').map(item).collect();
        let ranges = Ranges(sorted(items?));
        Some(if but { ranges.others(most) } else { ranges })
    }

    /// All numbers up to `most` that are in none of the ranges.
    fn others(&self, most: u128) -> Ranges {
        let mut others = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for &(first, last) in &self.0 {
            if let Some(begin) = next.filter(|&begin| begin < first) {
                others.push((begin, first - 1));
            }
            next = last.checked_add(1).filter(|&next| next <= most);
        }
        others.extend(next.map(|begin| (begin, most)));
        Ranges(others)
    }

    /// Takes in others, and closes gaps where there are too many.
    pub(super) fn add(&mut self, others: Ranges) {
        self.0.extend(others.0);
        self.0 = sorted(std::mem::take(&mut self.0));
        while self.0.len() > RANGES {
            let gaps = self.0.iter().zip(self.0.iter().skip(1)).map(|(left, right)| right.0 - left.1);
            let Some((place, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else { return };
            let (_, last) = self.0.remove(place + 1);
            if let Some(range) = self.0.get_mut(place) {
                range.1 = last;
            }
        }
    }

    pub(super) fn contains(&self, number: u128) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// First and last of each range.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, u128)> + '_ {
        self.0.iter().copied()
    }
}

/// The number of an address.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// First and last address of a block in CIDR notation.
fn block(text: &str) -> Option<(u128, u128)> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix): (IpAddr, u32) = (address.parse().ok()?, prefix.parse().ok()?);
    let width = if address.is_ipv4() { 32_u32 } else { 128 };
    let free = width.checked_sub(prefix)?;
    let hosts = u128::MAX.checked_shr(128 - free).unwrap_or(0);
    Some((number(address) & !hosts, number(address) | hosts))
}

/// In order, with those that touch put together.
fn sorted(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut apart: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match apart.last_mut() {
            Some(before) if before.1.checked_add(1).is_none_or(|next| first <= next) => before.1 = before.1.max(last),
            _ => apart.push((first, last)),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Ranges {
        Ranges::of_addresses(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn blocks_and_all_but_blocks_are_ranges() {
        let has = |ranges: &Ranges, address: &str| ranges.contains(number(address.parse().expect("an address")));
        let private = addresses("10.0.0.0/8 172.16.0.0/12 ::1/128 fe80::/10");
        let others = addresses("!10.0.0.0/8 172.16.0.0/12 ::1/128 fe80::/10");
        for (address, inside) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("172.31.9.9", true),
            ("172.32.0.0", false),
            ("::1", true),
            ("::2", false),
            ("::", false),
            ("febf:ffff::1", true),
            ("fec0::", false),
            ("::ffff:10.1.1.1", true),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
        ] {
            assert_eq!((has(&private, address), has(&others, address)), (inside, !inside), "{address}");
        }
        assert_eq!(addresses("!::/0").len(), 0);
        assert!(has(&addresses("0.0.0.0/0"), "1.2.3.4") && !has(&addresses("0.0.0.0/0"), "::1"));
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8,", "x/8", "::/129"] {
            assert_eq!(Ranges::of_addresses(text), None, "{text}");
        }
    }

    #[test]
    fn ports_are_ranges_too() {
        let ports = |text: &str| Ranges::of_ports(text).map(|ranges| ranges.iter().collect::<Vec<_>>());
        assert_eq!(ports("443 80 81-90"), Some(vec![(80, 90), (443, 443)]));
        assert_eq!(ports("!0-79 443"), Some(vec![(80, 442), (444, 65_535)]));
        assert_eq!(ports("!65535"), Some(vec![(0, 65_534)]));
        assert_eq!([ports("9-1"), ports("65536"), ports("")], [None, None, None]);
    }

    #[test]
    fn too_many_ranges_let_more_through_and_never_less() {
        let mut ranges = Ranges::default();
        for number in 0..200_u32 {
            ranges.add(Ranges::of_ports(&(number * number).min(65_535).to_string()).expect("a port"));
        }
        assert_eq!(ranges.len(), RANGES);
        assert!((0..200_u128).all(|number| ranges.contains((number * number).min(65_535))));
        assert!(!ranges.contains(30_000));
    }
}
