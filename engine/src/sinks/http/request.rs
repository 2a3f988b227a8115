//! One request: alerts into a body, and what the server's answer says of each of them.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::json;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::sinks::head::AlertHead;
use crate::sinks::{HttpForm, HttpOptions, HttpTarget};

/// The longest answer that is read.
const MAX_ANSWER: u64 = 16 << 20;
/// How much of an answer is quoted.
const QUOTED: usize = 200;
/// The longest `Retry-After` that is heeded.
const LONGEST_AFTER: Duration = Duration::from_secs(3600);

/// What became of the alerts of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server looked at each: those with these numbers it turned down for good, those it wants again.
    Taken { refused: Vec<(usize, String)>, again: Vec<usize>, reason: String },
    /// Later, perhaps.
    Later { reason: String, after: Option<Duration> },
    /// Not as they are. With fewer of them at once it may be different.
    Refused { reason: String, divisible: bool },
}

/// Speaks to one server.
pub(super) struct Client {
    agent: Agent,
    target: HttpTarget,
    headers: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct BulkAnswer {
    #[serde(default)]
    errors: bool,
    #[serde(default)]
    items: Vec<BulkItem>,
}

#[derive(Deserialize)]
struct BulkItem {
    create: BulkResult,
}

#[derive(Deserialize)]
struct BulkResult {
    status: u16,
    #[serde(default)]
    error: serde_json::Value,
}

impl Client {
    pub(super) fn new(target: &HttpTarget, options: &HttpOptions) -> io::Result<Client> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &options.ca {
            let pem = std::fs::read(path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            let certificates: Vec<_> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(io::Error::other(format!("{} holds no certificate", path.display())));
            }
            tls = tls.root_certs(RootCerts::from(certificates));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(options.timeout))
            .user_agent(concat!("kestrel-engine/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        let client = Client { agent: config.new_agent(), target: target.clone(), headers: options.headers.clone() };
        // A header that is none shows here and not with the first alert.
        client.check_headers().map_err(io::Error::other)?;
        Ok(client)
    }

    fn check_headers(&self) -> Result<(), String> {
        use ureq::http::{HeaderName, HeaderValue};
        for (name, value) in &self.headers {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
            HeaderValue::from_str(value).map_err(|_| format!("the header `{name}` has a value that is none"))?;
        }
        Ok(())
    }

    /// Sends alerts.
    pub(super) fn send(&self, lines: &[&str]) -> Answer {
        let mut request = self.agent.post(&self.target.url).header("Content-Type", "application/x-ndjson");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match request.send(self.body(lines)) {
            Ok(response) => self.answer(response, lines.len()),
            Err(error) => Answer::Later { reason: error.to_string(), after: None },
        }
    }

    fn body(&self, lines: &[&str]) -> String {
        let mut body = String::new();
        for line in lines {
            if let HttpForm::Bulk { index } = &self.target.form {
                let id = AlertHead::read(line).event.id;
                let mut create = serde_json::Map::new();
                if let Some(index) = index {
                    create.insert("_index".to_owned(), index.as_str().into());
                }
                if !id.is_empty() {
                    create.insert("_id".to_owned(), id.as_ref().into());
                }
                // `create` and not `index`: data streams take nothing else, and what is there already stays.
                body.push_str(&json!({ "create": create }).to_string());
                body.push('\n');
            }
            body.push_str(line);
            body.push('\n');
        }
        body
    }

    fn answer(&self, mut response: Response<Body>, count: usize) -> Answer {
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
        // Read to its end, so that the connection can be used again.
        let mut text = Vec::new();
        let read = response.body_mut().as_reader().take(MAX_ANSWER).read_to_end(&mut text);
        let reason = format!("{status} {}", quoted(&text)).trim_end().to_owned();
        match status {
            200..300 if self.target.form == HttpForm::Webhook => {
                Answer::Taken { refused: Vec::new(), again: Vec::new(), reason: String::new() }
            }
            200..300 => match read {
                Ok(_) => bulk_answer(&text, count),
                Err(error) => Answer::Later { reason: format!("its answer broke off: {error}"), after },
            },
            300..400 => Answer::Refused { reason: format!("{reason} (redirects are not followed)"), divisible: false },
            408 | 425 | 429 | 500.. => Answer::Later { reason, after },
            _ => Answer::Refused { reason, divisible: matches!(status, 400 | 413 | 422) },
        }
    }
}

fn bulk_answer(text: &[u8], count: usize) -> Answer {
    let Ok(answer) = serde_json::from_slice::<BulkAnswer>(text) else {
        return Answer::Later { reason: format!("not the answer of a bulk interface: {}", quoted(text)), after: None };
    };
    let (mut refused, mut again, mut reason) = (Vec::new(), Vec::new(), String::new());
    if answer.errors && answer.items.len() != count {
        return Answer::Later { reason: "its answer is not about the alerts that were sent".to_owned(), after: None };
    }
    for (number, BulkItem { create }) in answer.items.iter().enumerate().filter(|_| answer.errors) {
        let told = || format!("{} {}", create.status, quoted(create.error.to_string().as_bytes()));
        match create.status {
            // There already: it was sent before.
            200..300 | 409 => {}
            408 | 425 | 429 | 500.. => {
                again.push(number);
                reason = told();
            }
            _ => refused.push((number, told())),
        }
    }
    Answer::Taken { refused, again, reason }
}

/// The beginning of an answer, in one line of plain characters.
fn quoted(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let plain = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    plain.take(QUOTED).collect::<String>().trim().to_owned()
}

/// `Retry-After`: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    let wait = match value.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date =
                jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value.trim()).ok()?;
            SystemTime::from(date).duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("999999"), Some(LONGEST_AFTER));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("Fri, 21 Oct 2095 07:28:00 GMT"), Some(LONGEST_AFTER));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_bulk_answer_is_read_item_by_item() {
        let text = r#"{"took":1,"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429,"error":{"type":"busy"}}},
            {"create":{"status":409,"error":{"type":"conflict"}}},{"create":{"status":400,"error":{"type":"mapping"}}}]}"#;
        let Answer::Taken { refused, again, .. } = bulk_answer(text.as_bytes(), 4) else { panic!("an answer") };
        assert_eq!(again, [1]);
        assert_eq!(refused, [(3, r#"400 {"type":"mapping"}"#.to_owned())]);
        assert!(matches!(bulk_answer(text.as_bytes(), 3), Answer::Later { .. }));
        assert!(matches!(bulk_answer(b"<html>", 3), Answer::Later { .. }));
        let whole = Answer::Taken { refused: Vec::new(), again: Vec::new(), reason: String::new() };
        assert_eq!(bulk_answer(br#"{"errors":false,"items":[]}"#, 4), whole);
    }
}
