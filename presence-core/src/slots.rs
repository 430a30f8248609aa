//! Things by small numbers: who is found by name once is found by number from then on, in every further index.

/// Things, each in a slot of its own. Slots that are free again are used again; a number means something only to whoever
/// knows that what it stands for is still there.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Puts a thing into a free slot. Gives its number.
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("there are fewer than four billion")
        });
        self.slots[number as usize] = Some(thing);
        number
    }

    /// Takes a thing out of its slot.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let thing = self.slots.get_mut(number as usize)?.take()?;
        self.free.push(number);
        if self.free.len() == self.slots.len() {
            // What a crowd needed goes with the last of it.
            *self = Self::default();
        }
        Some(thing)
    }

    /// What is in a slot.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.slots.get(number as usize)?.as_ref()
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(number as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_for_one_thing_until_that_is_gone() {
        let mut slots = Slots::default();
        let numbers = ["a", "b", "c"].map(|thing| slots.insert(thing));
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!((slots.remove(1), slots.remove(1), slots.get(1)), (Some("b"), None, None));
        *slots.get_mut(2).unwrap() = "d";
        assert_eq!(
            (slots.insert("e"), slots.get(1), slots.get(2), slots.get(3)),
            (1, Some(&"e"), Some(&"d"), None)
        );
    }

    #[test]
    fn nothing_is_kept_when_all_have_gone() {
        let mut slots = Slots::default();
        let numbers: Vec<u32> = (0..1_000).map(|thing| slots.insert(thing)).collect();
        assert!(numbers.into_iter().all(|number| slots.remove(number).is_some()));
        assert_eq!((slots.slots.capacity(), slots.free.capacity()), (0, 0));
    }
}
