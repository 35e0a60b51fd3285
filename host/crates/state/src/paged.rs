//! A vector that grows without moving what it holds.
//!
//! A plain vector doubles: at a million entries that is one copy of tens of megabytes, a stop of many milliseconds in
//! the middle of a stream. Here growing costs one page, whatever the length.

use std::ops::{Index, IndexMut};

/// Entries in a page.
const PAGE: usize = 1024;

/// A vector in pages. The last page is never empty.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pages: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T> Paged<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    pub(crate) fn push(&mut self, entry: T) {
        if self.len == self.pages.len() * PAGE {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        self.pages[self.len / PAGE].push(entry);
        self.len += 1;
    }

    /// Takes the last entry; gives back the memory of a page that becomes empty.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let page = self.pages.last_mut()?;
        let entry = page.pop();
        if page.is_empty() {
            self.pages.pop();
        }
        self.len -= 1;
        entry
    }

    /// Takes the entry at `at` and puts the last one into its place.
    ///
    /// # Panics
    /// If there is no such entry.
    pub(crate) fn swap_remove(&mut self, at: usize) -> T {
        assert!(at < self.len, "entry {at} of {}", self.len);
        let last = self.pop().expect("the vector holds at least the entry at `at`");
        if at == self.len { last } else { std::mem::replace(&mut self[at], last) }
    }

    pub(crate) fn clear(&mut self) {
        self.pages.clear();
        self.len = 0;
    }

    /// Fills up with defaults until there is an entry at `at`.
    #[inline]
    pub(crate) fn reach(&mut self, at: usize)
    where
        T: Default,
    {
        while self.len <= at {
            self.push(T::default());
        }
    }
}

impl<T> Index<usize> for Paged<T> {
    type Output = T;
    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.pages[at / PAGE][at % PAGE]
    }
}

impl<T> IndexMut<usize> for Paged<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.pages[at / PAGE][at % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paged_vector_does_as_a_vector_does() {
        let (mut paged, mut plain) = (Paged::default(), Vec::new());
        for entry in 0..3 * PAGE {
            paged.push(entry);
            plain.push(entry);
        }
        for at in [0, PAGE, 3 * PAGE - 3, 7] {
            assert_eq!(paged.swap_remove(at), plain.swap_remove(at));
        }
        while let Some(entry) = plain.pop() {
            assert_eq!(paged.get(plain.len()), Some(&entry));
            assert_eq!(paged.pop(), Some(entry));
            assert_eq!(paged.len(), plain.len());
        }
        assert!(paged.is_empty() && paged.pages.is_empty(), "memory is given back");
    }
}
