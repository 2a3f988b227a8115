//! Did you mean: ranks known names by what a person who wrote another name may have meant.
//!
//! In: a name, the known names, a table of other systems' names. Out: the best few. It does not decide whether a name is wrong.
//!
//! People miss in four ways, and each has its own price: another system's name for it (`CommandLine`), the same letters with other
//! separators or cases (`process_name`), the right last part below another prefix (`process.extension`), and slips of the finger.

/// The price above which a name is no longer near, as a share of the longer name's length.
const FAR: f64 = 0.34;

/// Up to `count` of `known` in order of price; ties go to the shorter, then the alphabetically first name.
pub(crate) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    synonyms: &[(&str, &str)],
    count: usize,
) -> Vec<String> {
    let wanted = Wanted::new(name, synonyms);
    let mut ranked: Vec<(f64, usize, &str)> = known
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| wanted.price(candidate).map(|price| (price, candidate.len(), candidate)))
        .collect();
    ranked.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)).then(left.2.cmp(right.2)));
    ranked.into_iter().take(count).map(|(_, _, candidate)| candidate.to_owned()).collect()
}

/// The name that was written, taken apart once.
struct Wanted {
    lower: String,
    squeezed: String,
    synonym: Option<String>,
}

impl Wanted {
    fn new(name: &str, synonyms: &[(&str, &str)]) -> Self {
        let lower = name.to_lowercase();
        let squeezed = squeeze(&lower);
        let synonym = synonyms
            .iter()
            .find(|(other, _)| squeeze(&other.to_lowercase()) == squeezed)
            .map(|(_, field)| (*field).to_owned());
        Wanted { lower, squeezed, synonym }
    }

    /// The price of `candidate`, or `None` when it is too far off.
    fn price(&self, candidate: &str) -> Option<f64> {
        if self.synonym.as_deref() == Some(candidate) {
            return Some(0.0);
        }
        let lower = candidate.to_lowercase();
        if squeeze(&lower) == self.squeezed {
            return Some(0.1);
        }
        let limit = (FAR * self.lower.len().max(lower.len()) as f64).max(2.0);
        let spelling = self.spelling_price(&lower, limit);
        let segment = self.segment_price(&lower);
        match (spelling, segment) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        }
    }

    /// Edits between the two names, when they are few enough.
    fn spelling_price(&self, candidate: &str, limit: f64) -> Option<f64> {
        // The difference in length is a lower bound of the edit distance and costs nothing.
        if candidate.len().abs_diff(self.lower.len()) as f64 > limit {
            return None;
        }
        let distance = strsim::osa_distance(candidate, &self.lower) as f64;
        if distance > limit {
            return None;
        }
        // A slip changes a part or two of a name; it neither replaces a whole part nor adds one.
        let parts = || candidate.split('.').zip(self.lower.split('.'));
        let other_shape = candidate.matches('.').count() != self.lower.matches('.').count();
        let replaced =
            parts().any(|(part, wanted)| 2 * strsim::osa_distance(part, wanted) > wanted.chars().count().max(2));
        Some(distance + if other_shape || replaced { 1.5 } else { 0.0 })
    }

    /// The same last part below another prefix, or a last part of which the other is an abbreviation (`cmdline`, `exe`).
    fn segment_price(&self, candidate: &str) -> Option<f64> {
        let (wanted_prefix, wanted_last) = split_last(&self.lower);
        let (prefix, last) = split_last(candidate);
        let last_price = if wanted_last == last {
            0.0
        } else if abbreviates(wanted_last, last) {
            0.5
        } else {
            return None;
        };
        if wanted_prefix == prefix {
            return Some(1.0 + last_price);
        }
        // A name without a prefix says nothing about where to look; only short places are offered.
        let prefix_price = if wanted_prefix.is_empty() {
            prefix.matches('.').count() as f64 + 1.0
        } else {
            let distance = strsim::osa_distance(prefix, wanted_prefix) as f64;
            let shared =
                prefix.starts_with(&format!("{wanted_prefix}.")) || wanted_prefix.starts_with(&format!("{prefix}."));
            if abbreviates(wanted_prefix, prefix) {
                0.3
            } else if shared {
                (distance / 8.0).min(3.0)
            } else {
                distance / 3.0
            }
        };
        let price = 1.2 + last_price + prefix_price;
        (price <= 5.0).then_some(price)
    }
}

fn squeeze(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '.' | '_' | '-' | '@')).collect()
}

fn split_last(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Whether `short` is made of the first and some later characters of `long`, in that order: `dst` of `destination`.
fn abbreviates(short: &str, long: &str) -> bool {
    let mut rest = long.chars();
    short.len() >= 3
        && short.chars().next() == long.chars().next()
        && short.chars().all(|wanted| rest.any(|character| character == wanted))
}
