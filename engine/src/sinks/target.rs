//! The words that name where alerts go: `--alerts` and the configuration's `to`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;
use ureq::http::Uri;

/// Where the journal of systemd listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where the system's syslog listens.
const SYSLOG: &str = "/dev/log";
/// Words before a colon that are no part of a file's name.
const SCHEMES: [&str; 9] = ["unix", "syslog", "journald", "http", "https", "bulk+http", "bulk+https", "tcp", "udp"];

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertTarget {
    /// `-`.
    Stdout,
    /// A path.
    File(PathBuf),
    /// `unix:PATH`: a socket on which somebody listens.
    Unix(PathBuf),
    /// `syslog`, `syslog:unix:PATH`, `syslog:udp:HOST:PORT`, `syslog:tcp:HOST:PORT`.
    Syslog(SyslogTarget),
    /// `journald`, or `journald:PATH` for a socket elsewhere.
    Journald(PathBuf),
    /// `http://…`, `https://…`, and the same behind `bulk+`.
    Http(HttpTarget),
}

/// How a syslog is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTarget {
    /// Its socket on this host, of datagrams or of a stream.
    Unix(PathBuf),
    /// `HOST:PORT`, a datagram for each alert (RFC 5426).
    Udp(String),
    /// `HOST:PORT`, a stream with counted octets (RFC 6587).
    Tcp(String),
}

/// A server that takes alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTarget {
    /// The address, without what stands for this program alone.
    pub url: String,
    /// How alerts are written into a request.
    pub form: HttpForm,
}

/// How alerts are written into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpForm {
    /// A line for each alert, `application/x-ndjson`.
    Webhook,
    /// Elasticsearch's bulk interface: before each alert a line that says where it goes.
    Bulk {
        /// The index or data stream; without one the address names it.
        index: Option<String>,
    },
}

/// A word that names no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{word}` is no place for alerts: {reason}")]
pub struct UnknownTarget {
    /// The word.
    pub word: String,
    /// What is expected.
    pub reason: &'static str,
}

impl FromStr for AlertTarget {
    type Err = UnknownTarget;

    fn from_str(word: &str) -> Result<AlertTarget, UnknownTarget> {
        let refuse = |reason| UnknownTarget { word: word.to_owned(), reason };
        let (scheme, rest) = word.split_once(':').unwrap_or((word, ""));
        match scheme {
            "-" if word == "-" => Ok(AlertTarget::Stdout),
            "" => {
                Err(refuse("use `-`, a file, `unix:PATH`, `syslog`, `journald`, `http(s)://…` or `bulk+http(s)://…`"))
            }
            "unix" if !rest.is_empty() => Ok(AlertTarget::Unix(rest.into())),
            "unix" => Err(refuse("`unix:` needs the path of a socket")),
            "syslog" if rest.is_empty() => Ok(AlertTarget::Syslog(SyslogTarget::Unix(SYSLOG.into()))),
            "syslog" => syslog(rest).map(AlertTarget::Syslog).map_err(refuse),
            "journald" if rest.is_empty() => Ok(AlertTarget::Journald(JOURNAL.into())),
            "journald" => Ok(AlertTarget::Journald(rest.into())),
            "http" | "https" | "bulk+http" | "bulk+https" => http(word).map(AlertTarget::Http).map_err(refuse),
            _ if SCHEMES.contains(&scheme) && scheme != word => {
                Err(refuse("this transport is for syslog: `syslog:udp:HOST:PORT` or `syslog:tcp:HOST:PORT`"))
            }
            _ => Ok(AlertTarget::File(word.into())),
        }
    }
}

fn syslog(rest: &str) -> Result<SyslogTarget, &'static str> {
    let has_port = |address: &str| {
        address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    match rest.split_once(':') {
        Some(("unix", path)) if !path.is_empty() => Ok(SyslogTarget::Unix(path.into())),
        Some(("udp", address)) if has_port(address) => Ok(SyslogTarget::Udp(address.to_owned())),
        Some(("tcp", address)) if has_port(address) => Ok(SyslogTarget::Tcp(address.to_owned())),
        _ => Err("a syslog is `syslog`, `syslog:unix:PATH`, `syslog:udp:HOST:PORT` or `syslog:tcp:HOST:PORT`"),
    }
}

fn http(word: &str) -> Result<HttpTarget, &'static str> {
    let (bulk, url) = word.strip_prefix("bulk+").map_or((false, word), |url| (true, url));
    let parsed: Uri = url.parse().map_err(|_| "the address cannot be read")?;
    if parsed.host().is_none_or(str::is_empty) {
        return Err("the address names no host");
    }
    if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(
            "a name and a password do not belong into the address; put an `Authorization` header into the configuration",
        );
    }
    if !bulk {
        return Ok(HttpTarget { url: url.to_owned(), form: HttpForm::Webhook });
    }
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut index, mut others) = (None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("index=") {
            Some(name) if !name.is_empty() => index = Some(name.to_owned()),
            _ => others.push(pair),
        }
    }
    let own_path = parsed.path().trim_end_matches('/');
    if !own_path.ends_with("/_bulk") {
        return Err("the address of a bulk interface ends with `/_bulk`");
    }
    if index.is_none() && own_path == "/_bulk" {
        return Err("nothing names the index: add `?index=NAME`");
    }
    let url = if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) };
    Ok(HttpTarget { url, form: HttpForm::Bulk { index } })
}

impl fmt::Display for AlertTarget {
    /// What messages call it. Of an address no more than the host is told: the rest may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlertTarget::Stdout => f.write_str("standard output"),
            AlertTarget::File(path) => write!(f, "{}", path.display()),
            AlertTarget::Unix(path) => write!(f, "the socket {}", path.display()),
            AlertTarget::Syslog(SyslogTarget::Unix(path)) => write!(f, "syslog at {}", path.display()),
            AlertTarget::Syslog(SyslogTarget::Udp(address)) => write!(f, "syslog at {address} (UDP)"),
            AlertTarget::Syslog(SyslogTarget::Tcp(address)) => write!(f, "syslog at {address} (TCP)"),
            AlertTarget::Journald(path) => write!(f, "the journal at {}", path.display()),
            AlertTarget::Http(target) => target.fmt(f),
        }
    }
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parsed: Option<Uri> = self.url.parse().ok();
        let scheme = parsed.as_ref().and_then(Uri::scheme_str).unwrap_or("http");
        let host = parsed.as_ref().and_then(Uri::authority).map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_by_their_form() {
        let http = |url: &str, form| Some(AlertTarget::Http(HttpTarget { url: url.to_owned(), form }));
        let index = |name: &str| HttpForm::Bulk { index: Some(name.to_owned()) };
        for (word, expected) in [
            ("-", Some(AlertTarget::Stdout)),
            ("alerts.ndjson", Some(AlertTarget::File("alerts.ndjson".into()))),
            ("a:b", Some(AlertTarget::File("a:b".into()))),
            ("unix:/run/alerts.sock", Some(AlertTarget::Unix("/run/alerts.sock".into()))),
            ("unix:", None),
            ("syslog", Some(AlertTarget::Syslog(SyslogTarget::Unix("/dev/log".into())))),
            ("syslog:udp:127.0.0.1:514", Some(AlertTarget::Syslog(SyslogTarget::Udp("127.0.0.1:514".into())))),
            ("syslog:tcp:[::1]:601", Some(AlertTarget::Syslog(SyslogTarget::Tcp("[::1]:601".into())))),
            ("syslog:udp:loghost", None),
            ("syslog:loghost:514", None),
            ("udp:loghost:514", None),
            ("journald", Some(AlertTarget::Journald(JOURNAL.into()))),
            ("https://siem.example/hook?key=1", http("https://siem.example/hook?key=1", HttpForm::Webhook)),
            ("https://", None),
            ("https://me:secret@siem.example/hook", None),
            ("bulk+https://es:9200/_bulk?index=alerts", http("https://es:9200/_bulk", index("alerts"))),
            (
                "bulk+http://es/_bulk?pipeline=p&index=a&timeout=1m",
                http("http://es/_bulk?pipeline=p&timeout=1m", index("a")),
            ),
            ("bulk+http://es/alerts/_bulk", http("http://es/alerts/_bulk", HttpForm::Bulk { index: None })),
            ("bulk+http://es/_bulk", None),
            ("bulk+http://es/?index=a", None),
            ("", None),
        ] {
            assert_eq!(word.parse().ok(), expected, "{word}");
        }
    }

    #[test]
    fn an_addresss_secrets_are_not_told() {
        let target: AlertTarget = "https://siem.example:8443/hook/T0K3N?key=S3CR3T".parse().expect("a target");
        assert_eq!(target.to_string(), "https://siem.example:8443");
    }
}
