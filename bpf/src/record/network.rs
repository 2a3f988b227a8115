//! Connections, sockets and name lookups.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::RecordError;
use super::bytes::{Reader, Writer};
use crate::layout;

/// Sections of a lookup record's tail, as in `kestrel_records_network.h`. Others have none.
pub mod section {
    /// The packet's payload.
    pub const MESSAGE: usize = 0;
}

/// `IPPROTO_TCP`.
pub const TCP: u16 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u16 = 17;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Which end of a connection the acting process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Nobody saw the connection begin, or there is none.
    #[default]
    Unknown,
    /// It connected, or asked.
    Connected,
    /// It accepted.
    Accepted,
}

/// A socket, or a packet, seen from its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network<'r> {
    /// Which end is its own.
    pub role: Role,
    /// `IPPROTO_*`.
    pub protocol: u16,
    /// Its own end.
    pub local: SocketAddr,
    /// The other end; the unspecified address where there is none.
    pub remote: SocketAddr,
    /// What it sent on a connection that ends now.
    pub bytes_sent: u64,
    /// What it received.
    pub bytes_received: u64,
    /// A lookup's message, perhaps without its end; over TCP with its length before it.
    pub message: &'r [u8],
    /// The length of the whole message.
    pub message_length: u32,
}

impl<'r> Network<'r> {
    pub(super) fn parse(reader: Reader<'r>) -> Result<Self, RecordError> {
        use layout::network::*;
        let role = match reader.fixed_u32(ROLE)? {
            1 => Role::Connected,
            2 => Role::Accepted,
            _ => Role::Unknown,
        };
        let family = reader.fixed_u16(FAMILY)?;
        let end = |address, port| -> Result<SocketAddr, RecordError> {
            let bytes: [u8; 16] = reader.fixed_array(address)?;
            let address = match (family, bytes) {
                (AF_INET6, bytes) => IpAddr::V6(Ipv6Addr::from(bytes)),
                // Nothing else is sent; whatever it were, it has no more bytes than these.
                (_, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            };
            Ok(SocketAddr::new(address, reader.fixed_u16(port)?))
        };
        Ok(Network {
            role,
            protocol: reader.fixed_u16(PROTOCOL)?,
            local: end(LOCAL_ADDRESS, LOCAL_PORT)?,
            remote: end(REMOTE_ADDRESS, REMOTE_PORT)?,
            bytes_sent: reader.fixed_u64(BYTES_SENT)?,
            bytes_received: reader.fixed_u64(BYTES_RECEIVED)?,
            message: reader.section(section::MESSAGE)?,
            message_length: reader.fixed_u32(MESSAGE_LENGTH)?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        use layout::network::*;
        let role: u32 = match self.role {
            Role::Unknown => 0,
            Role::Connected => 1,
            Role::Accepted => 2,
        };
        writer.fixed(ROLE, &role.to_le_bytes());
        writer.fixed(FAMILY, &if self.local.is_ipv4() { AF_INET } else { AF_INET6 }.to_le_bytes());
        writer.fixed(PROTOCOL, &self.protocol.to_le_bytes());
        for (end, address, port) in
            [(self.local, LOCAL_ADDRESS, LOCAL_PORT), (self.remote, REMOTE_ADDRESS, REMOTE_PORT)]
        {
            match end.ip() {
                IpAddr::V4(four) => writer.fixed(address, &four.octets()),
                IpAddr::V6(six) => writer.fixed(address, &six.octets()),
            }
            writer.fixed(port, &end.port().to_le_bytes());
        }
        writer.fixed(BYTES_SENT, &self.bytes_sent.to_le_bytes());
        writer.fixed(BYTES_RECEIVED, &self.bytes_received.to_le_bytes());
        writer.fixed(MESSAGE_LENGTH, &self.message_length.to_le_bytes());
        writer.section(section::MESSAGE, self.message);
    }
}
