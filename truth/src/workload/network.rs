//! Sockets over the loopback: bound, listening, connected, accepted and closed; names asked and answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use super::actor::Actor;
use crate::expect::Want;
use crate::sys;

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

fn end(side: &'static str, address: SocketAddr) -> Vec<(&'static str, Want)> {
    let names = match side {
        "source" => ["source.ip", "source.address", "source.port"],
        _ => ["destination.ip", "destination.address", "destination.port"],
    };
    let ip = address.ip().to_string();
    names.into_iter().zip([Want::value(ip.as_str()), Want::value(ip.as_str()), Want::value(address.port())]).collect()
}

fn kind_of(transport: &str, address: SocketAddr) -> Vec<(&'static str, Want)> {
    vec![("network.transport", Want::value(transport)), ("network.type", Want::value(family(address.ip())))]
}

/// A stream over one family: from the first call to the last.
fn stream(actor: &Actor, loopback: IpAddr) -> Result<()> {
    let before = sys::now();
    let listener = TcpListener::bind((loopback, 0))?;
    let after = sys::now();
    let server = listener.local_addr()?;
    let mut more = kind_of("tcp", server);
    more.extend(end("source", server));
    actor.told("bind", &[("source.port", json!(server.port()))], &more, (before, after))?;
    let mut more = kind_of("tcp", server);
    more.extend(end("source", server));
    actor.told("listen", &[("source.port", json!(server.port()))], &more, (before, after))?;

    let before = sys::now();
    let client = TcpStream::connect(server).context("cannot connect")?;
    let after = sys::now();
    let (here, _) = (client.local_addr()?, client.peer_addr()?);
    let mut more = kind_of("tcp", server);
    more.extend(end("destination", server));
    more.push(("network.direction", Want::value("egress")));
    let key = [("destination.port", json!(server.port())), ("network.type", json!(family(loopback)))];
    actor.told("connection_attempted", &key, &more, (before, after))?;

    let before = sys::now();
    let (accepted, _) = listener.accept()?;
    let mut more = kind_of("tcp", server);
    more.extend(end("source", here));
    more.extend(end("destination", server));
    more.push(("network.direction", Want::value("ingress")));
    actor.told("connection_accepted", &[("source.port", json!(here.port()))], &more, (before, sys::now()))?;

    let before = sys::now();
    drop(client);
    drop(accepted);
    drop(listener);
    let mut more = kind_of("tcp", server);
    more.extend(end("source", here));
    more.extend(end("destination", server));
    let key: [(&str, Json); 2] = [("source.port", json!(here.port())), ("network.direction", json!("egress"))];
    actor.told("disconnect_received", &key, &more, (before, sys::now()))
}

pub(super) fn network(actor: &mut Actor) -> Result<i32> {
    stream(actor, Ipv4Addr::LOCALHOST.into())?;
    // Some hosts have IPv6 switched off.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        stream(actor, Ipv6Addr::LOCALHOST.into())?;
    }
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let server = receiver.local_addr()?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let before = sys::now();
    sender.connect(server)?;
    let mut more = kind_of("udp", server);
    more.extend(end("destination", server));
    more.push(("network.direction", Want::value("egress")));
    let key = [("destination.port", json!(server.port())), ("network.transport", json!("udp"))];
    actor.told("connection_attempted", &key, &more, (before, sys::now()))?;
    // Refused: nobody listens there any more.
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let before = sys::now();
    let refused = TcpStream::connect(gone);
    anyhow::ensure!(refused.is_err(), "somebody listens on {gone}");
    let mut more = kind_of("tcp", gone);
    more.extend(end("destination", gone));
    actor.told("connection_attempted", &[("destination.port", json!(gone.port()))], &more, (before, sys::now()))?;
    Ok(0)
}

/// A question and its answer, as RFC 1035 writes them, over the loopback to the port of name servers.
pub(super) fn dns(actor: &mut Actor) -> Result<i32> {
    let Ok(server) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)) else {
        eprintln!("workload: dns: port 53 is taken, nothing was asked");
        return Ok(0);
    };
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut question = vec![0x4b, 0x45, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["kestrel", "truth", "example"] {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let mut answer = question.clone();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[7] = 1;
    // A pointer to the name, type A, class IN, a minute, four bytes.
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
    let asked = [
        ("dns.question.type", Want::value("A")),
        ("dns.id", Want::value("19269")),
        ("network.protocol", Want::value("dns")),
    ];
    let key = [("dns.question.name", json!("kestrel.truth.example"))];
    let before = sys::now();
    client.send_to(&question, server.local_addr()?)?;
    actor.told("lookup_requested", &key, &asked, (before, sys::now()))?;
    let mut buffer = [0; 512];
    let (_, from) = server.recv_from(&mut buffer)?;
    server.send_to(&answer, from)?;
    let before = sys::now();
    client.recv_from(&mut buffer)?;
    let mut more = asked.to_vec();
    more.push(("dns.resolved_ip", Want::value("192.0.2.77")));
    more.push(("dns.response_code", Want::value("NOERROR")));
    actor.told("lookup_result", &key, &more, (before, sys::now()))?;
    Ok(0)
}
