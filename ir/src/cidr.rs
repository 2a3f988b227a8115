//! Blocks of addresses in CIDR notation (RFC 4632, RFC 4291), IPv4 mapped into IPv6.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::event::{ip_address, ip_octets};

/// A block of addresses. Host bits are cleared when it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cidr {
    network: [u8; 16],
    prefix: u8,
}

impl Cidr {
    /// Parses `10.0.0.0/8`, `fe80::/10` or a single address. Host bits are allowed and ignored.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let (width, mapped) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix: u8 = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => width,
        };
        if prefix > width {
            return None;
        }
        Some(Cidr::masked(ip_octets(address), prefix + mapped))
    }

    /// The block of the one address with these octets.
    pub fn single(octets: [u8; 16]) -> Cidr {
        Cidr { network: octets, prefix: 128 }
    }

    fn masked(mut octets: [u8; 16], prefix: u8) -> Cidr {
        for (index, octet) in octets.iter_mut().enumerate() {
            let kept = usize::from(prefix).saturating_sub(index * 8).min(8);
            *octet &= (0xff00u16 >> kept) as u8;
        }
        Cidr { network: octets, prefix }
    }

    /// Whether the prefix is one and no host bit is set, which holds for every block that was parsed.
    pub(crate) fn is_canonical(&self) -> bool {
        self.prefix <= 128 && Cidr::masked(self.network, self.prefix) == *self
    }

    /// Whether the block, which is canonical, holds this address.
    pub fn contains(&self, octets: [u8; 16]) -> bool {
        let differing = u128::from_be_bytes(octets) ^ u128::from_be_bytes(self.network);
        differing.checked_shr(128 - u32::from(self.prefix.min(128))).unwrap_or(0) == 0
    }

    /// The number of leading bits that are fixed, of the 128 of the mapped address.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The first address, as octets.
    pub fn network(&self) -> [u8; 16] {
        self.network
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = ip_address(self.network);
        match address {
            IpAddr::V4(_) if self.prefix >= 96 => write!(formatter, "{address}/{}", self.prefix - 96),
            _ => write!(formatter, "{}/{}", std::net::Ipv6Addr::from(self.network), self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_they_should() {
        for (block, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::1", "::1", true),
            ("FE80::/10", "fe80::1", true),
            ("FE80::/10", "fec0::1", false),
        ] {
            let octets = ip_octets(address.parse().expect("an address"));
            let cidr = Cidr::parse(block).expect("a block");
            assert_eq!(cidr.contains(octets), expected, "{address} in {block}");
            assert_eq!(Cidr::parse(&cidr.to_string()), Some(cidr), "{block} prints and parses back");
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "a/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8"] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
