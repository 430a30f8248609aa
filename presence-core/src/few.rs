//! A list that mostly has one item: that one lies in place, without memory of its own and without any that lies idle.

use std::ops::{Deref, DerefMut};

/// Few items, in an order that whoever puts them in chooses. Read as a slice.
#[derive(Clone, Debug)]
pub struct Few<T>(Items<T>);

#[derive(Clone, Debug, Default)]
enum Items<T> {
    #[default]
    None,
    One(T),
    /// Behind one pointer: most lists have no room for more to spare.
    #[expect(clippy::box_collection, reason = "a list of one small item is not to be larger for this")]
    Many(Box<Vec<T>>),
}

impl<T> Few<T> {
    /// An empty list.
    pub const fn new() -> Self {
        Self(Items::None)
    }

    /// Adds an item behind all others.
    pub fn push(&mut self, item: T) {
        self.0 = match std::mem::take(&mut self.0) {
            Items::None => Items::One(item),
            Items::One(first) => Items::Many(Box::new(vec![first, item])),
            Items::Many(mut items) => {
                items.push(item);
                Items::Many(items)
            }
        };
    }

    /// Adds an item at a place.
    ///
    /// # Panics
    /// If that place is behind the end.
    pub fn insert(&mut self, index: usize, item: T) {
        self.push(item);
        self[index..].rotate_right(1);
    }

    /// Takes an item out.
    ///
    /// # Panics
    /// If there is none at that place.
    pub fn remove(&mut self, index: usize) -> T {
        self[index..].rotate_left(1);
        let (items, last) = match std::mem::take(&mut self.0) {
            Items::None => (Items::None, None),
            Items::One(item) => (Items::None, Some(item)),
            Items::Many(mut items) => {
                let last = items.pop();
                (Items::Many(items), last)
            }
        };
        self.0 = items.settled();
        last.expect("there is an item at that place")
    }

    /// Keeps only some items.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0 = match std::mem::take(&mut self.0) {
            Items::One(item) if keep(&item) => Items::One(item),
            Items::None | Items::One(_) => Items::None,
            Items::Many(mut items) => {
                items.retain(keep);
                Items::Many(items).settled()
            }
        };
    }

    /// Takes all items out.
    pub fn clear(&mut self) {
        self.0 = Items::None;
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Items<T> {
    /// The same items, in place if they are not many any more.
    fn settled(self) -> Self {
        match self {
            Self::Many(mut items) if items.len() < 2 => items.pop().map_or(Self::None, Self::One),
            items => items,
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Items::None => &[],
            Items::One(item) => std::slice::from_ref(item),
            Items::Many(items) => items,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Items::None => &mut [],
            Items::One(item) => std::slice::from_mut(item),
            Items::Many(items) => items,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Self::new();
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self.0 {
            Items::None => (None, Vec::new()),
            Items::One(item) => (Some(item), Vec::new()),
            Items::Many(items) => (None, *items),
        };
        one.into_iter().chain(many)
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X2: what it is for.
    #[test]
    fn one_small_item_takes_two_words_and_a_large_one_nothing_beside_it() {
        assert_eq!(size_of::<Few<u32>>(), 16);
        assert_eq!(size_of::<Few<(Box<str>, u64)>>(), size_of::<(Box<str>, u64)>() + 8);
    }

    #[test]
    fn it_does_what_a_vector_does() {
        let (mut few, mut all) = (Few::new(), Vec::new());
        let mut next = 0_usize;
        // Grows to nine, is thinned out, and goes down to nothing, from every side.
        for round in 0..6 {
            while all.len() < 9 {
                let at = (next * 7 + round) % (all.len() + 1);
                few.insert(at, next.to_string());
                all.insert(at, next.to_string());
                next += 1;
                assert_eq!(*few, *all);
            }
            few.retain(|item| item.len() % 2 == round % 2 || item.ends_with('1'));
            all.retain(|item| item.len() % 2 == round % 2 || item.ends_with('1'));
            assert_eq!(*few, *all);
            while !all.is_empty() {
                let at = (next + round) % all.len();
                assert_eq!(few.remove(at), all.remove(at));
                assert_eq!(*few, *all);
            }
        }
        let mut few: Few<u8> = (1..=3).collect();
        few[1] = 9;
        assert_eq!((&few).into_iter().copied().collect::<Vec<u8>>(), [1, 9, 3]);
        assert_eq!(few.clone().into_iter().collect::<Vec<u8>>(), [1, 9, 3]);
        few.clear();
        assert!(few.is_empty() && few.clone().into_iter().next().is_none());
        few.push(4);
        assert!(few.into_iter().eq([4]));
    }

    #[test]
    fn what_is_left_alone_lies_in_place_again() {
        let mut few: Few<u8> = (1..=3).collect();
        few.retain(|item| *item == 2);
        assert!(matches!(few.0, Items::One(2)));
        few.push(3);
        few.remove(0);
        assert!(matches!(few.0, Items::One(3)));
        few.retain(|_| false);
        assert!(matches!(few.0, Items::None));
    }
}
