//! Conditions joined by `and`, `or` and `not`.

use super::compare::Match;
use super::condition::Condition;

/// A filter: conditions, and how they are joined. The default selects everything.
///
/// Its text form is in [`FILTER_HELP`](super::FILTER_HELP).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    conditions: Vec<Condition>,
    root: Node,
}

/// How conditions are joined.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// All hold; none: it holds.
    All(Vec<Node>),
    /// One holds; none: it does not hold.
    Any(Vec<Node>),
    /// It does not hold.
    Not(Box<Node>),
    /// The condition with this index holds.
    Is(usize),
}

impl Default for Node {
    fn default() -> Self {
        Node::All(Vec::new())
    }
}

/// Whether something holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// It depends on a condition that has no outcome.
    Open,
}

impl Holds {
    pub(super) fn of(outcome: Match) -> Self {
        match outcome {
            Match::Yes => Holds::Yes,
            Match::No => Holds::No,
            Match::Incomparable(_) => Holds::Open,
        }
    }

    fn from_bool(holds: bool) -> Self {
        if holds { Holds::Yes } else { Holds::No }
    }

    fn negated(self) -> Self {
        match self {
            Holds::Yes => Holds::No,
            Holds::No => Holds::Yes,
            Holds::Open => Holds::Open,
        }
    }
}

impl Node {
    /// Evaluates the conditions in order, as far as the outcome depends on them.
    pub(super) fn holds(&self, is: &mut impl FnMut(usize) -> Holds) -> Holds {
        match self {
            Node::Is(index) => is(*index),
            Node::Not(node) => node.holds(is).negated(),
            Node::All(nodes) => Self::joined(nodes, Holds::No, is),
            Node::Any(nodes) => Self::joined(nodes, Holds::Yes, is),
        }
    }

    /// Evaluates nodes until one has the outcome that decides.
    fn joined(nodes: &[Node], decisive: Holds, is: &mut impl FnMut(usize) -> Holds) -> Holds {
        let mut outcome = decisive.negated();
        for node in nodes {
            match node.holds(is) {
                holds if holds == decisive => return decisive,
                Holds::Open => outcome = Holds::Open,
                _ => {}
            }
        }
        outcome
    }

    /// Returns what is left to evaluate when some outcomes are known, with those that cost least first.
    pub(super) fn reduced(&self, known: &impl Fn(usize) -> Holds, cost: &impl Fn(usize) -> u32) -> Result<Holds, Node> {
        match self {
            Node::Is(index) => match known(*index) {
                Holds::Open => Err(Node::Is(*index)),
                holds => Ok(holds),
            },
            Node::Not(node) => match node.reduced(known, cost) {
                Ok(holds) => Ok(holds.negated()),
                Err(node) => Err(Node::Not(Box::new(node))),
            },
            Node::All(nodes) => Self::rest(nodes, Holds::No, known, cost).map_err(|rest| rest.joined_as(Node::All)),
            Node::Any(nodes) => Self::rest(nodes, Holds::Yes, known, cost).map_err(|rest| rest.joined_as(Node::Any)),
        }
    }

    fn rest(
        nodes: &[Node],
        decisive: Holds,
        known: &impl Fn(usize) -> Holds,
        cost: &impl Fn(usize) -> u32,
    ) -> Result<Holds, Rest> {
        let mut rest = Vec::new();
        for node in nodes {
            match node.reduced(known, cost) {
                Ok(holds) if holds == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(node) => rest.push(node),
            }
        }
        if rest.is_empty() {
            return Ok(decisive.negated());
        }
        rest.sort_by_key(|node| node.cost(cost)); // stable
        Err(Rest(rest))
    }

    fn cost(&self, of: &impl Fn(usize) -> u32) -> u32 {
        match self {
            Node::Is(index) => of(*index),
            Node::Not(node) => node.cost(of),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().fold(0, |sum, node| node.cost(of).saturating_add(sum)),
        }
    }

    fn shift(&mut self, by: usize) {
        match self {
            Node::Is(index) => *index += by,
            Node::Not(node) => node.shift(by),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter_mut().for_each(|node| node.shift(by)),
        }
    }
}

/// Nodes without a known outcome.
struct Rest(Vec<Node>);

impl Rest {
    fn joined_as(mut self, join: impl FnOnce(Vec<Node>) -> Node) -> Node {
        match self.0.len() {
            1 => self.0.remove(0),
            _ => join(self.0),
        }
    }
}

impl Filter {
    pub(super) fn new(conditions: Vec<Condition>, root: Node) -> Self {
        Filter { conditions, root }
    }

    /// Returns a filter that selects what both select.
    #[must_use]
    pub fn and(mut self, other: Filter) -> Filter {
        let Filter { mut conditions, mut root } = other;
        root.shift(self.conditions.len());
        self.conditions.append(&mut conditions);
        self.root = match self.root {
            Node::All(mut nodes) => {
                nodes.push(root);
                Node::All(nodes)
            }
            first => Node::All(vec![first, root]),
        };
        self
    }

    /// Returns the conditions, in the order in which they were written.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// Returns whether any condition concerns the spans of an event.
    pub(crate) fn concerns_spans(&self) -> bool {
        self.conditions.iter().any(|condition| condition.key.concerns_spans())
    }

    /// Returns whether an event with these outcomes is selected. What does not compare matches nothing, and so differs
    /// from everything.
    pub(super) fn selects(&self, outcome: &mut impl FnMut(usize) -> Match) -> bool {
        let mut holds = |index: usize| Holds::from_bool(self.conditions[index].selects(outcome(index)));
        self.root.holds(&mut holds) == Holds::Yes
    }
}

impl FromIterator<Filter> for Filter {
    /// Returns a filter that selects what all select.
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        filters.into_iter().fold(Filter::default(), Filter::and)
    }
}

impl From<Condition> for Filter {
    fn from(condition: Condition) -> Self {
        Filter::new(vec![condition], Node::Is(0))
    }
}
