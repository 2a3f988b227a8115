//! Passes: an IR made smaller, one idea each, that answers every event as before.
//!
//! In: an [`Ir`] that would pass the verifier. Out: one that passes it too, with the same rules in the same order, whose
//! predicates, joins, pipes and searches answer as before; dead code alone renumbers fields, and keeps their order. An
//! IR whose references lead nowhere or in a circle, and one that a pass would push over a limit of the verifier, comes
//! back as it is. Nothing here reads an event, recurses with the depth of the IR, or works more than in proportion to its size (times
//! [`MAX_ROUNDS`]).
//!
//! ```text
//! dead code ─ sharing ─┬─ folding ─ lists ─ factoring ─┬─ ordering
//!                      └── until nothing changes ──────┘
//! ```
//!
//! Why in this order. Dead code and sharing go first, so that nothing is worked on that nobody asks for, or twice. Folding
//! goes before the two that look at the operands of one node at a time, since it flattens and dedups. Lists come before
//! factoring, so that a list is one operand when branches are compared; what factoring brings together
//! (`a == "x" and b or a == "y" and b`) is a list in the next round. Each round that changes something takes leaves or
//! nodes away, which is why the end comes. Ordering comes once, behind them: it takes nothing away, and the place of an
//! operand decides nothing in the others but where their results stand. What a pass leaves behind goes at once, and every
//! pass builds tables in which equal entries are one, so that both hold behind each of them. Numbers are given from the
//! rules down, so that a second run finds nothing to change.

use std::fmt;

use crate::model::{Ir, Node};
use rewrite::Work;

mod connect;
mod dead;
mod factoring;
mod folding;
mod lists;
mod ordering;
mod rewrite;
mod tables;

/// How often the passes that make work for each other are run; real rules need three rounds.
pub const MAX_ROUNDS: usize = 12;

/// One pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Constants, double negations, single and double operands, nested connectives, contradictions.
    Folding,
    /// Tests of one field under one `or` become one list.
    Lists,
    /// `(a and b) or (a and c)` becomes `a and (b or c)`.
    Factoring,
    /// Cheap operands before dear ones.
    Ordering,
    /// Equal entries become one.
    Sharing,
    /// What no rule reaches goes, fields too.
    DeadCode,
}

impl Pass {
    /// All of them, in the order of their first run.
    pub const ALL: [Pass; 6] =
        [Pass::DeadCode, Pass::Sharing, Pass::Folding, Pass::Lists, Pass::Factoring, Pass::Ordering];

    /// The name that commands print.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Folding => "folding",
            Pass::Lists => "lists",
            Pass::Factoring => "factoring",
            Pass::Ordering => "ordering",
            Pass::Sharing => "sharing",
            Pass::DeadCode => "dead code",
        }
    }

    /// Runs this pass alone. `keep` names the top-level fields that stay in the layout though no rule reads them.
    pub fn run(self, ir: &Ir, keep: &[&str]) -> Ir {
        let made = match self {
            Pass::Folding => rewrite::every_entry(ir, &mut folding::Folding),
            Pass::Lists => rewrite::every_entry(ir, &mut lists::Lists::default()),
            Pass::Factoring => rewrite::every_entry(ir, &mut factoring::Factoring::default()),
            Pass::Ordering => rewrite::every_entry(ir, &mut ordering::Ordering::default()),
            Pass::Sharing => rewrite::every_entry(ir, &mut rewrite::Same),
            Pass::DeadCode => dead::without_dead_code(ir, keep),
        };
        made.unwrap_or_else(|| ir.clone())
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How many entries an IR has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Fields of the layout, children included.
    pub fields: usize,
    /// Tests.
    pub atoms: usize,
    /// Values.
    pub values: usize,
    /// Nodes of the boolean DAG.
    pub nodes: usize,
    /// Operands of all nodes together.
    pub operands: usize,
    /// Predicates.
    pub predicates: usize,
}

impl Sizes {
    /// The sizes of an IR.
    pub fn of(ir: &Ir) -> Sizes {
        let operands = |node: &Node| match node {
            Node::Constant(_) | Node::Atom(_) => 0,
            Node::Not(_) => 1,
            Node::And(operands) | Node::Or(operands) => operands.len(),
        };
        Sizes {
            fields: ir.layout.len(),
            atoms: ir.atoms.len(),
            values: ir.values.len(),
            nodes: ir.nodes.len(),
            operands: ir.nodes.iter().map(operands).sum(),
            predicates: ir.predicates.len(),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sizes { fields, atoms, values, nodes, operands, predicates } = self;
        write!(
            formatter,
            "{fields} fields, {atoms} atoms, {values} values, {nodes} nodes with {operands} operands, \
             {predicates} predicates"
        )
    }
}

/// Runs all passes in their order. `keep` names the top-level fields that stay in the layout though no rule reads them.
///
/// ```
/// use kestrel_ir::passes::optimise;
/// use kestrel_ir::text::{parse, print};
///
/// let ir = parse(
///     "field f0 process.name : keyword\n\
///      atom a0 = f0 exact [\"bash\"]\n\
///      atom a1 = f0 exact [\"sh\"]\n\
///      node n0 = a0\n\
///      node n1 = a1\n\
///      node n2 = or n0 n1\n\
///      predicate p0 = any where n2\n\
///      rule \"shell\" = event p0\n",
/// )?;
/// assert!(print(&optimise(&ir, &[])).contains("atom a0 = f0 exact [\"bash\", \"sh\"]"));
/// # Ok::<(), kestrel_ir::text::TextError>(())
/// ```
pub fn optimise(ir: &Ir, keep: &[&str]) -> Ir {
    run_all(ir, keep, None)
}

/// The same, and tells of each pass that changed something: the pass, the IR before it and the IR behind it, both without
/// dead code.
pub fn optimise_watched(ir: &Ir, keep: &[&str], mut watch: impl FnMut(Pass, &Ir, &Ir)) -> Ir {
    run_all(ir, keep, Some(&mut watch))
}

/// Who is told of a pass, the IR before it and the IR behind it.
type Watch<'w> = &'w mut dyn FnMut(Pass, &Ir, &Ir);

/// Runs the passes over one set of tables; only for a watcher an IR is made between them.
fn run_all(ir: &Ir, keep: &[&str], watch: Option<Watch<'_>>) -> Ir {
    let Some(mut work) = Work::new(ir, &mut rewrite::Same) else { return ir.clone() };
    let mut watcher = watch.map(|watch| Watcher { watch, keep, last: ir.clone() });
    if let Some(watcher) = &mut watcher {
        watcher.see(Pass::DeadCode, Some(Pass::DeadCode.run(ir, keep)));
        watcher.see(Pass::Sharing, work.to_ir());
    }
    // A pass that would break a limit of the verifier ends the work; what was done before it stays.
    let mut run = |work: &mut Work<'_>, pass: Pass| {
        let changed = match pass {
            Pass::Folding => work.run(&mut folding::Folding),
            Pass::Lists => work.run(&mut lists::Lists::default()),
            Pass::Factoring => work.run(&mut factoring::Factoring::default()),
            Pass::Ordering => work.run(&mut ordering::Ordering::default()),
            Pass::Sharing | Pass::DeadCode => work.run(&mut rewrite::Same),
        }?;
        if let Some(watcher) = &mut watcher
            && changed
        {
            watcher.see(pass, work.to_ir());
        }
        Some(changed)
    };
    let mut all = || {
        for _ in 0..MAX_ROUNDS {
            let mut changed = false;
            for pass in [Pass::Folding, Pass::Lists, Pass::Factoring] {
                changed |= run(&mut work, pass)?;
            }
            if !changed {
                break;
            }
        }
        run(&mut work, Pass::Ordering)
    };
    let _ = all();
    let made = work.to_ir().and_then(|made| dead::without_dead_code(&made, keep));
    made.unwrap_or_else(|| ir.clone())
}

/// Tells of changes, with dead code taken out of what is shown.
struct Watcher<'w> {
    watch: Watch<'w>,
    keep: &'w [&'w str],
    last: Ir,
}

impl Watcher<'_> {
    fn see(&mut self, pass: Pass, made: Option<Ir>) {
        let Some(made) = made.map(|made| Pass::DeadCode.run(&made, self.keep)) else { return };
        if made != self.last {
            (self.watch)(pass, &self.last, &made);
            self.last = made;
        }
    }
}
