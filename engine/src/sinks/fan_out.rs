//! Many sinks as one: each gets every alert, and one that fails does not silence the others.

use super::{AlertTarget, Existing, Sink, SinkCounters, SinkError, SinkOptions, open};

/// All sinks of a run.
pub struct AlertSinks {
    sinks: Vec<Member>,
    notes: Vec<String>,
    given: u64,
}

struct Member {
    target: AlertTarget,
    sink: Box<dyn Sink>,
    standing: Standing,
}

/// Whether a sink gets alerts.
enum Standing {
    Works,
    /// Its reader went away and misses nothing.
    ReaderGone,
    /// It failed, for this reason.
    Failed(String),
}

/// What became of the alerts of one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkReport {
    /// The sink's name; of an address, the host alone.
    pub name: String,
    /// Its counters. What a sink did not get after it failed is among the lost.
    pub counters: SinkCounters,
    /// Why it failed, if it did. That a reader of standard output went away is no failure.
    pub failure: Option<String>,
}

impl SinkReport {
    /// Whether alerts did not reach this sink and will not.
    pub fn is_short(&self) -> bool {
        self.failure.is_some() || self.counters.lost > 0 || self.counters.refused > 0
    }
}

impl AlertSinks {
    /// Opens all targets.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(targets: &[(AlertTarget, SinkOptions)], existing: Existing) -> Result<AlertSinks, SinkError> {
        let open = |(target, options): &(AlertTarget, SinkOptions)| {
            Ok(Member { target: target.clone(), sink: open(target, options, existing)?, standing: Standing::Works })
        };
        let sinks: Result<Vec<Member>, SinkError> = targets.iter().map(open).collect();
        Ok(AlertSinks { sinks: sinks?, notes: Vec::new(), given: 0 })
    }

    /// Gives an alert to every sink that works.
    ///
    /// # Errors
    /// When none works any longer: why the last one failed.
    pub fn write(&mut self, line: &str) -> Result<(), SinkError> {
        self.given += 1;
        self.each(|sink| sink.write(line))
    }

    /// Writes what the sinks took so far.
    ///
    /// # Errors
    /// As [`AlertSinks::write`].
    pub fn flush(&mut self) -> Result<(), SinkError> {
        self.each(|sink| sink.flush())
    }

    /// The end. `complete` when these were all alerts of the run.
    ///
    /// # Errors
    /// As [`AlertSinks::write`].
    pub fn finish(&mut self, complete: bool) -> Result<(), SinkError> {
        self.each(|sink| sink.finish(complete))
    }

    fn each(&mut self, act: impl Fn(&mut dyn Sink) -> Result<(), SinkError>) -> Result<(), SinkError> {
        let works = |member: &Member| matches!(member.standing, Standing::Works);
        let mut working = self.sinks.iter().filter(|member| works(member)).count();
        for member in self.sinks.iter_mut().filter(|member| works(member)) {
            let Err(error) = act(member.sink.as_mut()) else { continue };
            working -= 1;
            let gone = matches!(error, SinkError::ReaderGone);
            member.standing = if gone { Standing::ReaderGone } else { Standing::Failed(error.to_string()) };
            if working == 0 {
                return Err(error);
            }
            if !gone {
                self.notes.push(format!("error: {error}; the other sinks go on"));
            }
        }
        Ok(())
    }

    /// What came up since this was asked last, for people.
    pub fn take_notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        for member in &mut self.sinks {
            notes.append(&mut member.sink.take_notes());
        }
        notes
    }

    /// What became of the alerts, sink by sink.
    pub fn reports(&self) -> Vec<SinkReport> {
        let report = |member: &Member| {
            let mut counters = member.sink.counters();
            let failure = match &member.standing {
                Standing::Works | Standing::ReaderGone => None,
                Standing::Failed(reason) => Some(reason.clone()),
            };
            if failure.is_some() {
                let known = counters.written + counters.waiting + counters.refused + counters.lost;
                counters.lost += self.given.saturating_sub(known);
            }
            SinkReport { name: member.target.to_string(), counters, failure }
        };
        self.sinks.iter().map(report).collect()
    }

    /// Where alerts go, for people.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.sinks.iter().map(|member| member.target.to_string()).collect();
        names.join(", ")
    }
}
