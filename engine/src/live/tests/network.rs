//! Connections, sockets and lookups of this very process and of children, over loopback alone.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use super::*;

const ALL: [Kind; 7] = [
    Kind::ConnectionAttempted,
    Kind::ConnectionAccepted,
    Kind::Bind,
    Kind::Listen,
    Kind::DisconnectReceived,
    Kind::LookupRequested,
    Kind::LookupResult,
];

/// This process is the one that acts, so it is not to be ignored.
fn watch(kinds: &[Kind]) -> Option<Watch> {
    let kinds = kinds.iter().fold(KindSet::NONE, |kinds, &kind| kinds.with(kind));
    let watch = Watch::open(LiveOptions { kinds, ignore_self: false, ..LiveOptions::default() })?;
    let missing: Vec<String> =
        watch.source.unavailable().map(|(kind, error)| format!("{}: {}", kind.name(), error.with_causes())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    Some(watch)
}

/// Reads until an event has this action and all of these values.
#[track_caller]
fn wait(watch: &mut Watch, action: &str, values: &[(&str, Value)]) -> Event {
    let begun = Instant::now();
    loop {
        let is = |event: &&Event| {
            watch.text(event, "event.action") == [action]
                && values.iter().all(|(name, value)| value.is(&watch.values(event, name)))
        };
        if let Some(event) = watch.events.iter().find(is) {
            return event.clone();
        }
        let seen = || -> Vec<String> { watch.events.iter().map(|event| show(watch, event)).collect() };
        let books = || {
            watch
                .source
                .ledger()
                .map(|ledger| ledger.kinds.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>())
        };
        let late = begun.elapsed() > Duration::from_secs(20);
        assert!(!late, "no {action} with {values:?} in {:#?}; {:#?}", seen(), books());
        let Watch { source, events } = &mut *watch;
        source.poll(Duration::from_millis(50), &mut |event| events.push(event.clone())).expect("the source goes on");
    }
}

fn show(watch: &Watch, event: &Event) -> String {
    let document = kestrel_ir::render::event_document(event, watch.source.fields(), &kestrel_schema::Schema::ecs());
    let part = |name: &str| document.get(name).map(ToString::to_string).unwrap_or_default();
    let process = document.get("process").and_then(|process| process.get("pid"));
    format!("{} {process:?} {} {} {}", part("event"), part("network"), part("source"), part("destination"))
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Number(i64),
    Address(IpAddr),
    Nothing,
}

impl Value {
    fn is(&self, values: &[FieldValue<'_>]) -> bool {
        match self {
            Value::Text(text) => values == [FieldValue::Text(text)],
            Value::Number(number) => values == [FieldValue::Integer(*number)],
            Value::Address(IpAddr::V4(four)) => values == [FieldValue::Ip(four.to_ipv6_mapped().octets())],
            Value::Address(IpAddr::V6(six)) => values == [FieldValue::Ip(six.octets())],
            Value::Nothing => values.is_empty(),
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn pid(pid: u32) -> (&'static str, Value) {
    ("process.pid", Value::Number(pid.into()))
}

fn ends(source: SocketAddr, destination: SocketAddr) -> Vec<(&'static str, Value)> {
    vec![
        ("source.ip", Value::Address(source.ip())),
        ("source.port", Value::Number(source.port().into())),
        ("source.address", text(&source.ip().to_string())),
        ("destination.ip", Value::Address(destination.ip())),
        ("destination.port", Value::Number(destination.port().into())),
        ("destination.address", text(&destination.ip().to_string())),
        ("network.type", text(if source.is_ipv4() { "ipv4" } else { "ipv6" })),
    ]
}

fn with(mut values: Vec<(&'static str, Value)>, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    values.extend_from_slice(more);
    values
}

fn loopbacks() -> Vec<IpAddr> {
    let all = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    all.into_iter().filter(|address| UdpSocket::bind((*address, 0)).is_ok()).collect()
}

#[test]
fn a_connection_is_seen_from_both_ends_from_bind_to_its_end() {
    let Some(mut watch) = watch(&ALL) else { return };
    for address in loopbacks() {
        let listener = TcpListener::bind((address, 0)).expect("loopback");
        let server = listener.local_addr().expect("bound");
        let mut client = TcpStream::connect(server).expect("loopback");
        let own = client.local_addr().expect("connected");
        let (mut accepted, _) = listener.accept().expect("it has connected");
        client.write_all(&[1; 1_000]).expect("loopback");
        accepted.read_exact(&mut [0; 1_000]).expect("loopback");
        accepted.write_all(&[2; 77]).expect("loopback");
        client.read_exact(&mut [0; 77]).expect("loopback");
        // The client closes first, then the server: two ends, two events.
        drop(client);
        assert_eq!(accepted.read(&mut [0; 1]).expect("loopback"), 0);
        drop(accepted);

        let me = pid(std::process::id());
        let tcp = ("network.transport", text("tcp"));
        let listening = [
            me.clone(),
            tcp.clone(),
            ("source.ip", Value::Address(address)),
            ("source.port", Value::Number(server.port().into())),
            ("destination.ip", Value::Nothing),
        ];
        wait(&mut watch, "bind", &listening);
        wait(&mut watch, "listen", &listening);
        let both = with(ends(own, server), &[me.clone(), tcp]);
        let egress = ("network.direction", text("egress"));
        let ingress = ("network.direction", text("ingress"));
        wait(&mut watch, "connection_attempted", &with(both.clone(), std::slice::from_ref(&egress)));
        wait(&mut watch, "connection_accepted", &with(both.clone(), std::slice::from_ref(&ingress)));
        let bytes = [("source.bytes", Value::Number(1_000)), ("destination.bytes", Value::Number(77))];
        wait(&mut watch, "disconnect_received", &with(with(both.clone(), &[egress]), &bytes));
        wait(&mut watch, "disconnect_received", &with(with(both, &[ingress]), &bytes));
        let of_this = watch.events.iter().filter(|event| {
            watch.text(event, "event.action") == ["disconnect_received"]
                && Value::Number(own.port().into()).is(&watch.values(event, "source.port"))
        });
        assert_eq!(of_this.count(), 2, "each end once");
    }
}

#[test]
fn only_ends_are_told_of_when_only_ends_are_wanted() {
    let Some(mut watch) = watch(&[Kind::DisconnectReceived]) else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let server = listener.local_addr().expect("bound");
    let client = TcpStream::connect(server).expect("loopback");
    let own = client.local_addr().expect("connected");
    let (accepted, _) = listener.accept().expect("it has connected");
    drop(client);
    drop(accepted);
    let direction = |direction: &str| ("network.direction", text(direction));
    wait(&mut watch, "disconnect_received", &with(ends(own, server), &[direction("egress")]));
    wait(&mut watch, "disconnect_received", &with(ends(own, server), &[direction("ingress")]));
    let other = watch.events.iter().find(|event| watch.text(event, "event.action") != ["disconnect_received"]);
    assert!(other.is_none());
}

#[test]
fn an_end_by_a_packet_belongs_to_who_connected() {
    let Some(mut watch) = watch(&[Kind::DisconnectReceived, Kind::ConnectionAttempted]) else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let server = listener.local_addr().expect("bound");
    // A child connects and waits; this process sends the reset by closing with data unread.
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{} && echo hello >&3 && sleep 1", server.port());
    let Ok(mut child) = Command::new("bash").args(["-c", &script]).spawn() else {
        eprintln!("skipped: no bash");
        return;
    };
    let (accepted, own) = listener.accept().expect("the child connects");
    // The byte is here before the connection is closed.
    accepted.peek(&mut [0; 1]).expect("loopback");
    drop(accepted);
    let values = with(ends(own, server), &[pid(child.id()), ("network.direction", text("egress"))]);
    let attempt = wait(&mut watch, "connection_attempted", &values);
    let end = wait(&mut watch, "disconnect_received", &with(values, &[("source.bytes", Value::Number(6))]));
    assert_eq!(watch.text(&end, "process.entity_id"), watch.text(&attempt, "process.entity_id"));
    child.wait().expect("own child");
}

#[test]
fn a_connection_that_nobody_answers_is_an_attempt_and_has_no_end() {
    let Some(mut watch) = watch(&ALL) else { return };
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        listener.local_addr().expect("bound")
    };
    assert!(TcpStream::connect(closed).is_err());
    let port = ("destination.port", Value::Number(closed.port().into()));
    wait(&mut watch, "connection_attempted", &[pid(std::process::id()), port.clone()]);
    // What came before the next event is there by now.
    let marker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let marker = Value::Number(marker.local_addr().expect("bound").port().into());
    wait(&mut watch, "bind", &[("source.port", marker)]);
    let ended = watch.events.iter().find(|event| {
        watch.text(event, "event.action") == ["disconnect_received"]
            && port.1.is(&watch.values(event, "destination.port"))
    });
    assert!(ended.is_none());
}

#[test]
fn udp_is_bound_and_connected() {
    let Some(mut watch) = watch(&ALL) else { return };
    for address in loopbacks() {
        let server = UdpSocket::bind((address, 0)).expect("loopback");
        let client = UdpSocket::bind((address, 0)).expect("loopback");
        client.connect(server.local_addr().expect("bound")).expect("loopback");
        let own = client.local_addr().expect("bound");
        let udp = ("network.transport", text("udp"));
        let bound = [udp.clone(), ("source.port", Value::Number(own.port().into())), pid(std::process::id())];
        wait(&mut watch, "bind", &bound);
        let both = ends(own, server.local_addr().expect("bound"));
        wait(&mut watch, "connection_attempted", &with(both, &[udp, ("network.direction", text("egress"))]));
    }
}

#[test]
fn a_connection_of_ipv4_through_a_socket_of_ipv6_is_one_of_ipv4() {
    let Some(mut watch) = watch(&ALL) else { return };
    let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        eprintln!("skipped: no IPv6");
        return;
    };
    let port = listener.local_addr().expect("bound").port();
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("loopback");
    let own = client.local_addr().expect("connected");
    let (_accepted, _) = listener.accept().expect("it has connected");
    let both = ends(own, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    wait(&mut watch, "connection_accepted", &with(both, &[("network.direction", text("ingress"))]));
}

/// The question that a resolver sends, and what a server makes of it.
fn question(name: &str, id: u16) -> Vec<u8> {
    let mut bytes = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}

fn answer(question: &[u8], address: [u8; 4]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    bytes.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    bytes.extend_from_slice(&address);
    bytes
}

/// A port 53 of our own: an address of the loopback network that nobody uses.
fn name_server() -> Option<UdpSocket> {
    let address = Ipv4Addr::new(127, 83, (std::process::id() >> 8) as u8, std::process::id() as u8);
    match UdpSocket::bind((address, 53)) {
        Ok(server) => Some(server),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn about(name: &str, id: u16) -> Vec<(&'static str, Value)> {
    vec![
        ("dns.question.name", text(name)),
        ("dns.question.type", text("A")),
        ("dns.id", text(&id.to_string())),
        ("network.protocol", text("dns")),
        ("network.direction", text("egress")),
    ]
}

#[test]
fn lookups_belong_to_who_asks() {
    let Some(mut watch) = watch(&[Kind::LookupRequested, Kind::LookupResult]) else { return };
    let Some(server) = name_server() else { return };
    let there = server.local_addr().expect("bound");
    // One asks with an unconnected socket, one with a connected one, whose answer is read late.
    for connected in [false, true] {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let own = client.local_addr().expect("bound");
        let name = if connected { "connected.example.test" } else { "Plain.example.test" };
        let asked = question(name, 0x3131);
        if connected {
            client.connect(there).expect("loopback");
            client.send(&asked).expect("loopback");
        } else {
            client.send_to(&asked, there).expect("loopback");
        }
        let mut buffer = [0; 512];
        let (length, from) = server.recv_from(&mut buffer).expect("the question");
        server.send_to(&answer(&buffer[..length], [203, 0, 113, 9]), from).expect("loopback");
        let both = with(with(ends(own, there), &about(name, 0x3131)), &[pid(std::process::id())]);
        let udp = ("network.transport", text("udp"));
        let event = wait(&mut watch, "lookup_requested", &with(both.clone(), std::slice::from_ref(&udp)));
        assert_eq!(watch.text(&event, "event.category"), ["dns", "network"]);
        assert!(watch.values(&event, "dns.resolved_ip").is_empty());
        let address = ("dns.resolved_ip", Value::Address(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))));
        let code = ("dns.response_code", text("NOERROR"));
        let event = wait(&mut watch, "lookup_result", &with(both, &[udp, address, code]));
        assert_eq!(event.flags, EventFlags::default());
    }
}

#[test]
fn lookups_of_a_child_are_the_childs_and_over_tcp_too() {
    let Some(mut watch) = watch(&[Kind::LookupRequested, Kind::LookupResult]) else { return };
    let address = Ipv4Addr::new(127, 84, (std::process::id() >> 8) as u8, std::process::id() as u8);
    let Ok(listener) = TcpListener::bind((address, 53)) else {
        eprintln!("skipped: port 53 is taken");
        return;
    };
    let asked = question("tcp.example.test", 7);
    let bytes: String = asked.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let script =
        format!("exec 3<>/dev/tcp/{address}/53; printf '\\x00\\x{:02x}{bytes}' >&3; head -c 3 <&3", asked.len());
    let Ok(mut child) = Command::new("bash").args(["-c", &script]).stdout(Stdio::null()).spawn() else {
        eprintln!("skipped: no bash");
        return;
    };
    let (mut accepted, _) = listener.accept().expect("the child connects");
    let mut buffer = vec![0; asked.len() + 2];
    accepted.read_exact(&mut buffer).expect("loopback");
    let reply = answer(&asked, [203, 0, 113, 10]);
    accepted.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat()).expect("loopback");
    let values = with(about("tcp.example.test", 7), &[pid(child.id()), ("network.transport", text("tcp"))]);
    wait(&mut watch, "lookup_requested", &values);
    let address = ("dns.resolved_ip", Value::Address(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10))));
    wait(&mut watch, "lookup_result", &with(values, &[address]));
    child.wait().expect("own child");
    accepted.shutdown(Shutdown::Both).ok();
}

#[test]
fn answers_alone_can_be_asked_for_and_what_is_no_dns_is_told_of() {
    let Some(mut watch) = watch(&[Kind::LookupResult]) else { return };
    let address = Ipv4Addr::new(127, 85, (std::process::id() >> 8) as u8, std::process::id() as u8);
    let Ok(server) = UdpSocket::bind((address, 53)) else {
        eprintln!("skipped: port 53 is taken");
        return;
    };
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    client.send_to(&question("alone.example.test", 1), server.local_addr().expect("bound")).expect("loopback");
    let mut buffer = [0; 512];
    let (_, from) = server.recv_from(&mut buffer).expect("the question");
    server.send_to(b"\x00\x01\xff is no message at all", from).expect("loopback");
    let port = ("source.port", Value::Number(from.port().into()));
    let event = wait(&mut watch, "lookup_result", &[pid(std::process::id()), port]);
    assert!(event.flags.contains(EventFlags::UNREADABLE) && watch.values(&event, "dns.question.name").is_empty());
    assert!(!watch.events.iter().any(|event| watch.text(event, "event.action") == ["lookup_requested"]));
    let ledger = watch.source.ledger().expect("maps");
    assert!(ledger.kind(Kind::LookupRequested).upkeep > 0, "kept to know who asked");
}

#[test]
fn owners_are_forgotten_with_their_sockets_and_when_nobody_asks() {
    let Some(mut watch) = watch(&[Kind::DisconnectReceived]) else { return };
    let own = |watch: &Watch| {
        // The start of an owner is a task, whose number is at 40.
        let owners = watch.source.owners.iter().flatten();
        let pids = owners.filter_map(|(_, owner)| Some(u32::from_ne_bytes(*owner.get(40..)?.first_chunk()?)));
        pids.filter(|pid| *pid == std::process::id()).count()
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("loopback");
    let (accepted, _) = listener.accept().expect("it has connected");
    assert!(own(&watch) >= 2, "both ends are known");
    watch.source.set_kinds(KindSet::NONE).expect("maps");
    assert_eq!(own(&watch), 0);
    drop((client, accepted));
}
