//! What events of connections, sockets and lookups have of their own.
//!
//! Goes in: the part of a record that tells of a socket or a packet. Comes out: fields of the event. The source is who
//! began the connection, the destination who was to answer; so an accepted connection has its process at the destination.
//! An address of IPv4 in the form of IPv6 (`::ffff:192.0.2.1`) is one of IPv4.

use std::net::{IpAddr, SocketAddr};

use kestrel_bpf::record::network::{TCP, UDP};
use kestrel_bpf::record::{Kind, Network, Role};
use kestrel_ir::event::{Event, EventFlags};

use super::dns::{Message, response_code_name, type_name, within_stream};
use super::fields::{EndFields, Fields};

/// Fills in the fields of a network record of this kind.
pub(super) fn fill(event: &mut Event, fields: &Fields, kind: Kind, network: &Network<'_>) {
    if let Some(transport) = transport(network.protocol) {
        event.push_text(fields.traffic.transport, transport);
    }
    let (local, remote) = (network.local, network.remote);
    match (kind, network.role) {
        (Kind::Bind | Kind::Listen, _) => {
            push_type(event, fields, local.ip());
            push_end(event, &fields.source, local);
        }
        (_, Role::Accepted) => {
            event.push_text(fields.traffic.direction, "ingress");
            push_ends(event, fields, remote, local);
        }
        (_, Role::Connected) => {
            event.push_text(fields.traffic.direction, "egress");
            push_ends(event, fields, local, remote);
        }
        // Nobody saw which end began it.
        (_, Role::Unknown) => push_ends(event, fields, local, remote),
    }
    match kind {
        Kind::DisconnectReceived => {
            let (source, destination) = match network.role {
                Role::Accepted => (network.bytes_received, network.bytes_sent),
                Role::Connected | Role::Unknown => (network.bytes_sent, network.bytes_received),
            };
            event.push_integer(fields.source.bytes, i64::try_from(source).unwrap_or(i64::MAX));
            event.push_integer(fields.destination.bytes, i64::try_from(destination).unwrap_or(i64::MAX));
        }
        Kind::LookupRequested | Kind::LookupResult => fill_lookup(event, fields, network),
        _ => {}
    }
}

fn fill_lookup(event: &mut Event, fields: &Fields, network: &Network<'_>) {
    event.push_text(fields.traffic.protocol, "dns");
    let message = match network.protocol {
        TCP => within_stream(network.message).unwrap_or_default(),
        _ => network.message,
    };
    // What is no message went to a name server's port all the same, and is told of.
    let Ok(message) = Message::parse(message) else {
        event.flags.insert(EventFlags::UNREADABLE);
        return;
    };
    if message.cut {
        event.flags.insert(EventFlags::TRUNCATED);
    }
    event.push_written(fields.traffic.dns_id, 0, format_args!("{}", message.id));
    for question in &message.questions {
        event.push_text(fields.traffic.question_name, &question.name);
        match type_name(question.record_type) {
            Some(name) => event.push_text(fields.traffic.question_type, name),
            None => event.push_text(fields.traffic.question_type, &format!("TYPE{}", question.record_type)),
        }
    }
    if message.answer {
        match response_code_name(message.response_code) {
            Some(name) => event.push_text(fields.traffic.response_code, name),
            None => event.push_text(fields.traffic.response_code, &message.response_code.to_string()),
        }
        message.addresses.iter().for_each(|address| event.push_ip(fields.traffic.resolved_ip, *address));
    }
}

fn push_ends(event: &mut Event, fields: &Fields, source: SocketAddr, destination: SocketAddr) {
    push_type(event, fields, destination.ip());
    push_end(event, &fields.source, source);
    push_end(event, &fields.destination, destination);
}

fn push_type(event: &mut Event, fields: &Fields, address: IpAddr) {
    event.push_text(fields.traffic.network_type, if address.to_canonical().is_ipv4() { "ipv4" } else { "ipv6" });
}

fn push_end(event: &mut Event, fields: &EndFields, end: SocketAddr) {
    let address = end.ip().to_canonical();
    event.push_ip(fields.ip, address);
    event.push_written(fields.address, 0, format_args!("{address}"));
    // 0: not chosen yet, or a protocol without ports.
    if end.port() != 0 {
        event.push_integer(fields.port, end.port().into());
    }
}

/// The name of a protocol, by its number (IANA, as in `/etc/protocols`).
fn transport(protocol: u16) -> Option<&'static str> {
    Some(match protocol {
        TCP => "tcp",
        UDP => "udp",
        1 => "icmp",
        33 => "dccp",
        58 => "ipv6-icmp",
        132 => "sctp",
        136 => "udp-lite",
        // Several connections of TCP at once (RFC 8684); the kernel's own number.
        262 => "tcp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
