//! Alerts on their way out: suppression, sinks with real peers, and a replay that is killed and goes on.

#[path = "../fixture/mod.rs"]
mod fixture;

mod http;
mod resume;
mod sinks;
mod suppression;

/// An alert's line with this number; `rest` is more of it.
fn line(number: usize, rest: &str) -> String {
    format!(
        r#"{{"@timestamp":"2026-11-21T08:00:00.000Z","event":{{"kind":"alert","id":"id{number:06}"}},"rule":{{"id":"shell","severity":"high"}},"message":"Rule {number}{rest}"}}"#
    )
}
