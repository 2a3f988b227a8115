//! Every engine behind one trait: rules and events in the engine's own form, hits out.
//!
//! ```text
//! rules.rs ─ written in the engine's language ─▶ load (timed) ─┐
//! events.rs ─ decoded to the engine's own events, not timed ───┴─▶ run (timed) ─▶ (event, rule)
//! ```

pub mod gene;
pub mod kestrel;
pub mod python;
pub mod rsigma;
pub mod sigma;
pub mod tau;

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::events::Events;
use crate::rules::Rule;

/// Which events an engine runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Those that show whether it finds what the others find.
    Check,
    /// Those that it is measured by.
    Measure,
}

/// What an engine is given.
#[derive(Debug, Clone, Copy)]
pub struct Given<'g> {
    /// The rules.
    pub rules: &'g [Rule],
    /// The events of [`Set::Check`].
    pub check: &'g Events,
    /// The events of [`Set::Measure`].
    pub measure: &'g Events,
}

impl Given<'_> {
    /// Makes both sets of an engine's own events.
    fn convert<T>(&self, mut one: impl FnMut(&crate::events::Event) -> T) -> Sets<T> {
        Sets {
            check: self.check.events.iter().map(&mut one).collect(),
            measure: self.measure.events.iter().map(&mut one).collect(),
        }
    }
}

/// Both sets in an engine's own form.
struct Sets<T> {
    check: Vec<T>,
    measure: Vec<T>,
}

impl<T> Sets<T> {
    /// The first `count` of a set.
    fn first(&self, set: Set, count: usize) -> &[T] {
        let all = match set {
            Set::Check => &self.check,
            Set::Measure => &self.measure,
        };
        &all[..count.min(all.len())]
    }
}

/// An engine with rules and events.
pub trait Engine {
    /// Runs over the first `count` events of a set and gives each hit as (event, rule).
    ///
    /// # Errors
    /// When the engine fails.
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()>;

    /// The same for the watch: the time, and how many hits there were.
    ///
    /// # Errors
    /// When the engine fails.
    fn pass(&mut self, count: usize) -> Result<(Duration, usize)> {
        let mut hits = 0;
        let start = Instant::now();
        self.run(Set::Measure, count, &mut |_, _| hits += 1)?;
        Ok((start.elapsed(), hits))
    }
}

/// An engine that is ready, and what there is to say of it.
pub struct Ready {
    /// Its name, and its configuration where it has several.
    pub name: String,
    /// What it is given per event: decoded values, or text.
    pub from: &'static str,
    /// From the rules' text to the first event.
    pub load: Duration,
    /// The engine.
    pub engine: Box<dyn Engine>,
}
