//! Memory that is given back: what grew with a crowd does not stay that large when the crowd has
//! gone.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Below this many entries nothing is gained.
const SMALL: usize = 16;

/// Whether a collection is to shrink, and to what. Twice its length, so that it neither grows again
/// at once nor shrinks at every removal.
fn shrunk(len: usize, capacity: usize) -> Option<usize> {
    (capacity > SMALL && len < capacity / 4).then_some(len * 2)
}

/// Gives memory back if less than a quarter of it is used. To be called after a removal.
pub(crate) fn shrink_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if let Some(capacity) = shrunk(map.len(), map.capacity()) {
        map.shrink_to(capacity);
    }
}

/// As [`shrink_map`].
pub(crate) fn shrink_vec<T>(vec: &mut Vec<T>) {
    if let Some(capacity) = shrunk(vec.len(), vec.capacity()) {
        vec.shrink_to(capacity);
    }
}

/// As [`shrink_map`].
pub(crate) fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if let Some(capacity) = shrunk(queue.len(), queue.capacity()) {
        queue.shrink_to(capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_emptied_gives_its_memory_back() {
        let mut map: HashMap<_, _> = (0..10_000).map(|n| (n, n)).collect();
        let mut vec: Vec<_> = (0..10_000).collect();
        let mut queue: VecDeque<_> = (0..10_000).collect();
        for n in (10..10_000).rev() {
            map.remove(&n);
            shrink_map(&mut map);
            assert!(map.capacity() <= 8 * map.len().max(SMALL));
            vec.pop();
            shrink_vec(&mut vec);
            assert!(vec.capacity() <= 5 * vec.len().max(SMALL));
            queue.pop_front();
            shrink_queue(&mut queue);
            assert!(queue.capacity() <= 5 * queue.len().max(SMALL));
        }
        assert_eq!((map.len(), vec.len(), queue.len()), (10, 10, 10));
    }
}
