//! Trees of spans in a list, and those of several processes joined by the ids of their traces.

use std::collections::HashMap;
use std::ops::Range;

use crate::source::SpanRef;

/// A span in a tree.
#[derive(Clone, Copy, Debug)]
pub struct SpanNode<'t, 'a> {
    /// The span.
    pub span: SpanRef<'t, 'a>,
    /// Number of its ancestors in the tree.
    pub depth: usize,
    /// Whether the query selects it; otherwise it is there because it has selected descendants.
    pub is_match: bool,
}

/// Places each root whose parent is a span of another recording in the list below that span. The list is a forest in
/// which each span comes before its descendants, and so is the result.
pub(super) fn join<'t, 'a>(nodes: Vec<SpanNode<'t, 'a>>) -> Vec<SpanNode<'t, 'a>> {
    let below = below(&nodes);
    if below.is_empty() {
        return nodes;
    }
    let roots: Vec<usize> = (0..nodes.len()).filter(|&index| nodes[index].depth == 0).collect();
    let ends = roots.iter().skip(1).copied().chain([nodes.len()]);
    let trees: HashMap<usize, Range<usize>> = roots.iter().zip(ends).map(|(&root, end)| (root, root..end)).collect();
    let mut is_below = vec![false; nodes.len()];
    below.values().flatten().for_each(|&root| is_below[root] = true);
    // A circle of processes, which only hostile files have, is cut at its first root.
    let order = roots.iter().filter(|&&root| !is_below[root]).chain(roots.iter().filter(|&&root| is_below[root]));
    let (mut joined, mut is_placed) = (Vec::with_capacity(nodes.len()), vec![false; nodes.len()]);
    for &root in order {
        // A stack of its own: a chain of processes can be as long as the files like.
        let mut stack = Vec::new();
        if !std::mem::replace(&mut is_placed[root], true) {
            stack.push((trees[&root].clone(), 0));
        }
        while let Some((rest, base)) = stack.last_mut() {
            let Some(index) = rest.next() else {
                stack.pop();
                continue;
            };
            let node = SpanNode { depth: nodes[index].depth + *base, ..nodes[index] };
            joined.push(node);
            for &child in below.get(&index).into_iter().flatten().rev() {
                if !std::mem::replace(&mut is_placed[child], true) {
                    stack.push((trees[&child].clone(), node.depth + 1));
                }
            }
        }
    }
    joined
}

/// Returns the roots that belong below each node, by index.
fn below(nodes: &[SpanNode<'_, '_>]) -> HashMap<usize, Vec<usize>> {
    let ids = || nodes.iter().map(|node| node.span.trace_ids()).enumerate();
    let known: HashMap<(u128, u64), usize> =
        ids().filter(|(_, ids)| ids.known_as != 0).map(|(index, ids)| ((ids.trace, ids.known_as), index)).collect();
    let mut below: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, ids) in ids().filter(|&(index, ids)| ids.remote_parent != 0 && nodes[index].depth == 0) {
        if let Some(&parent) = known.get(&(ids.trace, ids.remote_parent)) {
            below.entry(parent).or_default().push(index);
        }
    }
    below
}
