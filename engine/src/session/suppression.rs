//! Suppression: of alike alerts of a rule the first is told, the others are counted and told as one summary.
//!
//! In: matches in the order in which they are told, and the times of all events. Out: the matches that are told, and for
//! every group whose window ended with something counted, what its summary is made of.
//!
//! ```text
//! rule, values of `by` ─▶ group ── first alert ──────────────▶ told at once, opens the window
//!                               ── others within the window ─▶ counted
//!                               ── window over, end of the run, no room ─▶ summary
//! ```
//!
//! Time is event time. A window begins with the time of the alert that opened it, and is over when an event is as late as
//! its end. So the same events give the same lines in the same order, whatever evaluates the predicates and however events
//! are batched. An alert from longer ago than the window is told: one event with a time far in the future must not
//! silence what follows.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use kestrel_core::matcher::Match;
use kestrel_ir::frame::Slot;
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::pack::{MAX_SUPPRESSION_FIELDS, SuppressionInfo};
use kestrel_ir::time::format_rfc3339;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::{NamedPack, SessionError};

/// How alerts of a rule are suppressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The fields whose values make alerts alike; none for all alerts of the rule.
    pub by: Vec<String>,
    /// The length of a window in nanoseconds.
    pub window: i64,
    /// What becomes of alerts whose events lack one of the fields.
    pub missing: Missing,
}

/// What becomes of alerts whose events lack one of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// That it is missing is a value like any other.
    Suppress,
    /// They are told, all of them.
    Tell,
}

impl Suppression {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.window <= 0 {
            return Err("alerts are suppressed for more than nothing".to_owned());
        }
        if self.by.len() > MAX_SUPPRESSION_FIELDS {
            return Err(format!("alerts are suppressed by at most {MAX_SUPPRESSION_FIELDS} fields"));
        }
        Ok(())
    }

    fn of_rule(info: &SuppressionInfo) -> Suppression {
        let missing = if info.tell_missing { Missing::Tell } else { Missing::Suppress };
        Suppression { by: info.by.clone(), window: info.window, missing }
    }
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// No suppression, whatever the rule asks for.
    Nothing,
    /// This one.
    Suppression(Suppression),
}

/// The operator's word: for single rules, which goes before the rules' own, and for all others, which goes behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionOptions {
    /// For the rules that do not ask for one themselves; `Nothing` also for those that do.
    pub default: Option<Asked>,
    /// For rules, by id.
    pub rules: BTreeMap<String, Asked>,
    /// The most groups at a time.
    pub max_groups: usize,
}

impl Default for SuppressionOptions {
    /// What the rules ask for, in at most 16,384 groups.
    fn default() -> Self {
        SuppressionOptions { default: None, rules: BTreeMap::new(), max_groups: 16_384 }
    }
}

impl SuppressionOptions {
    fn of(&self, rule: &str, own: Option<&SuppressionInfo>) -> Option<Suppression> {
        let asked = match (self.rules.get(rule), &self.default, own) {
            (Some(asked), _, _) | (None, Some(asked @ Asked::Nothing), _) | (None, Some(asked), None) => asked,
            (None, _, Some(own)) => return Some(Suppression::of_rule(own)),
            (None, None, None) => return None,
        };
        match asked {
            Asked::Nothing => None,
            Asked::Suppression(suppression) => Some(suppression.clone()),
        }
    }
}

/// What suppression did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SuppressionCounters {
    /// Alerts that were counted instead of told.
    pub suppressed: u64,
    /// Alerts that tell how many were.
    pub summaries: u64,
    /// Groups now.
    pub groups: u64,
    /// Groups that ended before their window, for want of room.
    pub evicted: u64,
}

/// A group that ended: the last of its alerts, which the summary shows, and what it stands for.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) pack: usize,
    pub(super) last: Match,
    by: Vec<String>,
    count: u64,
    earliest: i64,
    latest: i64,
}

impl Ended {
    /// The summary, of the line of the last alert.
    pub(super) fn line(&self, line: &str) -> String {
        let Ok(mut alert) = serde_json::from_str::<Json>(line) else { return line.to_owned() };
        let (first, last) = (format_rfc3339(self.earliest), format_rfc3339(self.latest));
        let events = alert.get("events").and_then(Json::as_array).cloned().unwrap_or_default();
        let by: Map<String, Json> = self.by.iter().map(|name| (name.clone(), values_of(&events, name))).collect();
        let name = alert.pointer("/rule/name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let noun = if self.count == 1 { "alert" } else { "alerts" };
        let message = format!("{name}: {} more {noun}, suppressed from {first} to {last}", self.count);
        if let Some(place) = alert.get_mut("message") {
            *place = message.into();
        }
        if let Some(id) = alert.pointer_mut("/event/id") {
            let own = id.as_str().unwrap_or_default();
            *id =
                digest(&[b"suppressed", own.as_bytes(), &self.count.to_le_bytes(), first.as_bytes(), last.as_bytes()])
                    .iter()
                    .take(16)
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
                    .into();
        }
        if let Some(kestrel) = alert.get_mut("kestrel").and_then(Json::as_object_mut) {
            let mut suppressed = Map::new();
            suppressed.insert("count".to_owned(), self.count.into());
            suppressed.insert("first".to_owned(), first.into());
            suppressed.insert("last".to_owned(), last.into());
            suppressed.insert("by".to_owned(), by.into());
            kestrel.insert("suppressed".to_owned(), suppressed.into());
        }
        alert.to_string()
    }
}

/// A field's values in documents: one alone, many as a list, none as null.
fn values_of(events: &[Json], name: &str) -> Json {
    let mut values: Vec<Json> = Vec::new();
    for value in events.iter().filter_map(|event| value_at(event, name)) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    if values.len() < 2 { values.pop().unwrap_or(Json::Null) } else { Json::Array(values) }
}

/// The value at a dotted place, nested or under its dotted name.
fn value_at<'j>(document: &'j Json, name: &str) -> Option<&'j Json> {
    document.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        value_at(document.get(first)?, rest)
    })
}

/// The pack, the rule, and a digest of the values by which alerts are alike.
type GroupKey = (usize, usize, [u8; 32]);

#[derive(Debug)]
struct Group {
    key: GroupKey,
    begin: i64,
    end: i64,
    used: u64,
    count: u64,
    earliest: i64,
    latest: i64,
    last: Option<Match>,
}

#[derive(Debug)]
struct RuleSuppression {
    asked: Suppression,
    fields: Vec<FieldId>,
}

#[derive(Debug)]
struct PackSuppression {
    layout: Layout,
    rules: Vec<Option<RuleSuppression>>,
}

/// Decides which matches are told.
#[derive(Debug)]
pub(super) struct Suppressor {
    packs: Vec<PackSuppression>,
    max_groups: usize,
    /// The latest time up to each event that is not yet flushed, by ordinal.
    marks: VecDeque<(u64, i64)>,
    latest: i64,
    now: i64,
    serial: u64,
    groups: HashMap<GroupKey, u64>,
    open: BTreeMap<u64, Group>,
    ends: BTreeSet<(i64, u64)>,
    uses: BTreeSet<(u64, u64)>,
    ended: Vec<Ended>,
    counters: SuppressionCounters,
}

impl Suppressor {
    /// What the rules and the operator ask for; `None` when that is nothing.
    pub(super) fn new(packs: &[NamedPack], options: &SuppressionOptions) -> Result<Option<Suppressor>, SessionError> {
        let resolved: Vec<PackSuppression> =
            packs.iter().map(|pack| resolve(pack, options)).collect::<Result<_, _>>()?;
        if resolved.iter().all(|pack| pack.rules.iter().all(Option::is_none)) {
            return Ok(None);
        }
        Ok(Some(Suppressor {
            packs: resolved,
            max_groups: options.max_groups.max(1),
            marks: VecDeque::new(),
            latest: i64::MIN,
            now: i64::MIN,
            serial: 0,
            groups: HashMap::new(),
            open: BTreeMap::new(),
            ends: BTreeSet::new(),
            uses: BTreeSet::new(),
            ended: Vec::new(),
            counters: SuppressionCounters::default(),
        }))
    }

    /// Notes the time of an event that is queued.
    pub(super) fn event(&mut self, ordinal: u64, timestamp: i64) {
        self.latest = self.latest.max(timestamp);
        self.marks.push_back((ordinal, self.latest));
    }

    /// Goes on to the time of the event with this ordinal, and ends the groups whose windows are over then.
    pub(super) fn advance(&mut self, ordinal: u64) {
        while let Some((_, latest)) = self.marks.pop_front_if(|(mark, _)| *mark <= ordinal) {
            self.now = latest;
        }
        while let Some((_, number)) = self.ends.first().copied().filter(|(end, _)| *end <= self.now) {
            self.close(number);
        }
    }

    /// Ends all groups: no more events come.
    pub(super) fn finish(&mut self) {
        while let Some((_, number)) = self.ends.first().copied() {
            self.close(number);
        }
    }

    /// A match: given back when it is to be told.
    pub(super) fn admit(&mut self, pack: usize, found: Match) -> Option<Match> {
        let rule = found.rule.index();
        let Some(suppression) = self.packs.get(pack).and_then(|pack| pack.rules.get(rule)?.as_ref()) else {
            return Some(found);
        };
        let window = suppression.asked.window;
        let Some(key) = self.key(pack, rule, suppression, &found) else { return Some(found) };
        let time = found.last.timestamp;
        self.serial += 1;
        let serial = self.serial;
        if let Some(number) = self.groups.get(&key).copied()
            && let Some(group) = self.open.get_mut(&number)
        {
            if time <= group.begin.saturating_sub(window) {
                return Some(found);
            }
            if time < group.end {
                self.uses.remove(&(group.used, number));
                group.used = serial;
                self.uses.insert((serial, number));
                group.earliest = if group.count == 0 { time } else { group.earliest.min(time) };
                group.latest = if group.count == 0 { time } else { group.latest.max(time) };
                group.count += 1;
                group.last = Some(found);
                self.counters.suppressed += 1;
                return None;
            }
            self.close(number);
        }
        let end = time.saturating_add(window);
        if end > self.now {
            self.open_group(Group {
                key,
                begin: time,
                end,
                used: serial,
                count: 0,
                earliest: time,
                latest: time,
                last: None,
            });
        }
        Some(found)
    }

    /// The groups that ended since this was asked last, in order.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    pub(super) fn counters(&self) -> SuppressionCounters {
        SuppressionCounters { groups: self.open.len() as u64, ..self.counters }
    }

    fn open_group(&mut self, group: Group) {
        if self.open.len() >= self.max_groups
            && let Some((_, oldest)) = self.uses.first().copied()
        {
            self.counters.evicted += 1;
            self.close(oldest);
        }
        let number = group.used;
        self.groups.insert(group.key, number);
        self.ends.insert((group.end, number));
        self.uses.insert((group.used, number));
        self.open.insert(number, group);
    }

    fn close(&mut self, number: u64) {
        let Some(group) = self.open.remove(&number) else { return };
        self.groups.remove(&group.key);
        self.ends.remove(&(group.end, number));
        self.uses.remove(&(group.used, number));
        let (pack, rule, _) = group.key;
        let rule = self.packs.get(pack).and_then(|pack| pack.rules.get(rule)?.as_ref());
        let by = rule.map(|rule| rule.asked.by.clone()).unwrap_or_default();
        if let Some(last) = group.last {
            self.counters.summaries += 1;
            let Group { count, earliest, latest, .. } = group;
            self.ended.push(Ended { pack, last, by, count, earliest, latest });
        }
    }

    /// What makes a match like another; `None` when it is to be told because a field is missing.
    fn key(&self, pack: usize, rule: usize, suppression: &RuleSuppression, found: &Match) -> Option<GroupKey> {
        let layout = &self.packs.get(pack)?.layout;
        let mut hash = Sha256::new();
        for field in &suppression.fields {
            let mut there = false;
            for event in &found.events {
                hash.update([0xFF]);
                let Some(frame) = event.as_ref().and_then(|evidence| evidence.frame()) else { continue };
                for slot in frame.values(layout, *field).iter() {
                    there = true;
                    update(&mut hash, slot);
                }
            }
            if !there && suppression.asked.missing == Missing::Tell {
                return None;
            }
        }
        Some((pack, rule, hash.finalize().into()))
    }

    /// Ends the groups of packs that have no new place; how many.
    pub(super) fn close_all_but(&mut self, places: &[Option<usize>]) -> u64 {
        let goes = |group: &Group| places.get(group.key.0).copied().flatten().is_none();
        let ended: Vec<u64> = self.open.iter().filter(|(_, group)| goes(group)).map(|(number, _)| *number).collect();
        ended.iter().for_each(|number| self.close(*number));
        ended.len() as u64
    }

    /// Goes on for other packs: `new` says what these ask for, `places` where the packs stand whose groups are open.
    pub(super) fn replace(&mut self, new: Option<Suppressor>, places: &[Option<usize>]) {
        self.packs = new.map(|new| new.packs).unwrap_or_default();
        self.groups.clear();
        for (number, group) in &mut self.open {
            if let Some(place) = places.get(group.key.0).copied().flatten() {
                group.key.0 = place;
            }
            self.groups.insert(group.key, *number);
        }
    }
}

fn resolve(named: &NamedPack, options: &SuppressionOptions) -> Result<PackSuppression, SessionError> {
    let layout = &named.pack.ir().layout;
    let rules = named.pack.manifest().rules.iter().map(|rule| {
        let Some(asked) = options.of(&rule.id, rule.suppression.as_ref()) else { return Ok(None) };
        let field = |name: &String| {
            layout.lookup(name).ok_or_else(|| SessionError::Suppression {
                name: named.name.clone(),
                rule: rule.id.clone(),
                field: name.clone(),
            })
        };
        let fields = asked.by.iter().map(field).collect::<Result<Vec<FieldId>, _>>()?;
        Ok(Some(RuleSuppression { asked, fields }))
    });
    Ok(PackSuppression { rules: rules.collect::<Result<_, SessionError>>()?, layout: layout.clone() })
}

/// Adds a value to a hash so that no two lists of values look the same.
fn update(hash: &mut Sha256, slot: Slot<'_>) {
    match slot {
        Slot::Integer(value) => {
            hash.update([1]);
            hash.update(value.to_le_bytes());
        }
        Slot::Float(value) => {
            hash.update([2]);
            hash.update(value.to_bits().to_le_bytes());
        }
        Slot::Boolean(value) => hash.update([3, u8::from(value)]),
        Slot::Text(text) => {
            hash.update([4]);
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        Slot::Ip(octets) => {
            hash.update([5]);
            hash.update(octets);
        }
        Slot::Object(_) => hash.update([6]),
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
