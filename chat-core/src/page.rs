//! Where a page ends. Whoever makes one takes one item more than it holds, which tells whether there is another.

/// The first `limit` of these, and the place of the last of them if there are more.
pub(crate) fn cut<T, P>(items: &mut Vec<T>, limit: usize, place: impl Fn(&T) -> P) -> Option<P> {
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more).map(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_the_last_says_where_it_ends() {
        for (limit, left, next) in [(2, vec![1, 2], Some(2)), (3, vec![1, 2, 3], None)] {
            let mut items = vec![1, 2, 3];
            assert_eq!((cut(&mut items, limit, |item| *item), items), (next, left));
        }
        assert_eq!(cut(&mut vec![1], 0, |item| *item), None, "there is no place to go on from");
    }
}
