//! Records made up, and the fields that become of them.

use kestrel_ir::render::event_document;
use kestrel_schema::Schema;
use serde_json::{Value as Json, json};

use super::*;

fn record(role: Role, local: &str, remote: &str) -> Network<'static> {
    let end = |text: &str| text.parse().expect("an address and a port");
    Network {
        role,
        protocol: TCP,
        local: end(local),
        remote: end(remote),
        bytes_sent: 10,
        bytes_received: 20,
        message: b"",
        message_length: 0,
    }
}

fn fill_in(kind: Kind, network: &Network<'_>) -> (Json, EventFlags) {
    let fields = Fields::new();
    let mut event = Event::new();
    fill(&mut event, &fields, kind, network);
    let document = Json::Object(event_document(&event, &fields.table, &Schema::ecs()));
    (document, event.flags)
}

#[track_caller]
fn check(kind: Kind, network: &Network<'_>, expected: Json) {
    let (document, flags) = fill_in(kind, network);
    let expected = expected.as_object().expect("an object");
    for (pointer, value) in expected {
        let found = document.pointer(&format!("/{}", pointer.replace('.', "/"))).cloned().unwrap_or(Json::Null);
        assert_eq!(&found, value, "{pointer} of {document}");
    }
    assert_eq!(flags, EventFlags::default());
}

#[test]
fn the_source_is_who_began() {
    let connected = record(Role::Connected, "192.0.2.1:40000", "198.51.100.2:443");
    check(
        Kind::ConnectionAttempted,
        &connected,
        json!({
            "network.direction": "egress", "network.transport": "tcp", "network.type": "ipv4",
            "source.ip": "192.0.2.1", "source.port": 40000, "source.address": "192.0.2.1",
            "destination.ip": "198.51.100.2", "destination.port": 443, "source.bytes": null,
        }),
    );
    let accepted = record(Role::Accepted, "192.0.2.1:443", "198.51.100.2:40000");
    check(
        Kind::DisconnectReceived,
        &accepted,
        json!({
            "network.direction": "ingress", "source.ip": "198.51.100.2", "destination.port": 443,
            "source.bytes": 20, "destination.bytes": 10,
        }),
    );
    let unknown = record(Role::Unknown, "192.0.2.1:443", "198.51.100.2:40000");
    check(Kind::DisconnectReceived, &unknown, json!({ "network.direction": null, "source.bytes": 10 }));
}

#[test]
fn a_socket_that_listens_has_one_end() {
    let network = record(Role::Unknown, "[::]:8080", "[::]:0");
    check(
        Kind::Listen,
        &network,
        json!({ "network.type": "ipv6", "source.ip": "::", "source.port": 8080, "destination": null, "network.direction": null }),
    );
}

#[test]
fn an_address_of_ipv4_in_ipv6_is_one_of_ipv4() {
    let network = record(Role::Connected, "[::ffff:192.0.2.1]:40000", "[::ffff:198.51.100.2]:443");
    let expected = json!({ "network.type": "ipv4", "source.ip": "192.0.2.1", "destination.address": "198.51.100.2" });
    check(Kind::ConnectionAttempted, &network, expected);
}

#[test]
fn lookups_tell_question_and_answer() {
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x1c\0\x01";
    let udp = Network { protocol: UDP, ..record(Role::Connected, "192.0.2.1:40000", "192.0.2.53:53") };
    check(
        Kind::LookupRequested,
        &Network { message: question, ..udp },
        json!({
            "dns.id": "4660", "dns.question.name": "example.org", "dns.question.type": "AAAA", "network.protocol": "dns",
            "network.transport": "udp", "destination.port": 53, "dns.response_code": null,
        }),
    );
    let answer = b"\0\x2a\x12\x34\x81\x83\0\x01\0\x01\0\0\0\0\x01a\0\xff\x78\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07";
    let tcp = record(Role::Connected, "192.0.2.1:40000", "192.0.2.53:53");
    check(
        Kind::LookupResult,
        &Network { message: answer, ..tcp },
        json!({
            "dns.response_code": "NXDOMAIN", "dns.resolved_ip": ["192.0.2.7"], "dns.question.type": "TYPE65400",
            "dns.question.name": "a", "network.direction": "egress",
        }),
    );
}

#[test]
fn what_is_no_message_is_told_of_and_flagged() {
    let udp = Network { protocol: UDP, ..record(Role::Connected, "192.0.2.1:40000", "192.0.2.53:53") };
    let (document, flags) = fill_in(Kind::LookupRequested, &Network { message: b"hello there, no dns", ..udp });
    assert!(flags.contains(EventFlags::UNREADABLE), "{document}");
    assert_eq!(document.pointer("/destination/port"), Some(&json!(53)));
    let cut = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07exam";
    assert!(fill_in(Kind::LookupRequested, &Network { message: cut, ..udp }).1.contains(EventFlags::TRUNCATED));
}
