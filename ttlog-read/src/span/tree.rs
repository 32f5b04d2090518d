//! Paths and trees of spans.

use std::collections::{HashMap, HashSet};

use super::fold::{Span, Spans};

/// Most spans of a path. A longer one, or one in a circle, which only a hostile file has, is cut at its outer end.
pub const PATH_LEN_MAX: usize = 64;

/// A span in the order of a list that shows the tree.
#[derive(Clone, Copy, Debug)]
pub struct Node<'s, E> {
    /// The span.
    pub span: &'s Span<E>,
    /// Number of its ancestors in the list.
    pub depth: usize,
}

impl<E: Copy> Spans<E> {
    /// Returns the span with this id and its ancestors, outermost first, as far as they are known.
    #[must_use]
    pub fn path(&self, id: u64) -> Vec<&Span<E>> {
        let mut path = Vec::new();
        let mut next = self.get(id);
        while let Some(span) = next {
            if path.len() == PATH_LEN_MAX {
                break;
            }
            path.push(span);
            next = self.get(span.parent);
        }
        path.reverse();
        path
    }

    /// Returns all spans as a tree, each before its children. Trees with an open span come first; otherwise the order
    /// is that of time. A span whose parent is unknown is a root.
    #[must_use]
    pub fn tree(&self) -> Vec<Node<'_, E>> {
        let mut children: HashMap<u64, Vec<&Span<E>>> = HashMap::new();
        let mut roots = Vec::new();
        for span in self.all() {
            // A parent starts first, so a circle, which only a hostile file has, is cut at its oldest span.
            let is_child = self
                .get(span.parent)
                .is_some_and(|parent| parent.start_is_lost() || (parent.first, parent.id) < (span.first, span.id));
            if is_child { children.entry(span.parent).or_default().push(span) } else { roots.push(span) }
        }
        let open = self.with_open_descendants();
        let mut nodes = Vec::with_capacity(self.all().len());
        // A stack of its own: a path can be as long as the file likes.
        let mut stack: Vec<Node<'_, E>> = roots.into_iter().rev().map(|span| Node { span, depth: 0 }).collect();
        stack.sort_by_key(|node| open.contains(&node.span.id));
        while let Some(node) = stack.pop() {
            nodes.push(node);
            if let Some(mut below) = children.remove(&node.span.id) {
                below.reverse();
                below.sort_by_key(|span| open.contains(&span.id));
                stack.extend(below.into_iter().map(|span| Node { span, depth: node.depth + 1 }));
            }
        }
        // Spans whose starts are lost can be in circles, too, which no root leads to.
        if !children.is_empty() {
            let listed: HashSet<u64> = nodes.iter().map(|node| node.span.id).collect();
            let rest = self.all().iter().filter(|span| !listed.contains(&span.id));
            nodes.extend(rest.map(|span| Node { span, depth: 0 }));
        }
        nodes
    }

    /// Returns the ids of the open spans and of their ancestors.
    fn with_open_descendants(&self) -> HashSet<u64> {
        let mut found = HashSet::new();
        for span in self.all().iter().filter(|span| span.is_open()) {
            let mut next = Some(span);
            while let Some(span) = next.filter(|span| found.insert(span.id)) {
                next = self.get(span.parent);
            }
        }
        found
    }
}
