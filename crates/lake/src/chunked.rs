use std::sync::Arc;

const CHUNK: usize = 256;

/// A list that is cheap to copy and cheap to append to while copies live: a snapshot shares all full chunks,
/// and a push copies at most one chunk and the list of chunks.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    chunks: Arc<Vec<Arc<Vec<Arc<T>>>>>,
    len: usize,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<T> Clone for Chunked<T> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<T> FromIterator<Arc<T>> for Chunked<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(items: I) -> Self {
        let mut list = Self::default();
        items.into_iter().for_each(|item| list.push(item));
        list
    }
}

impl<T> Chunked<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub(crate) fn push(&mut self, item: Arc<T>) {
        let chunks = Arc::make_mut(&mut self.chunks);
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(item),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                chunks.push(Arc::new(chunk));
            }
        }
        self.len += 1;
    }

    /// Keeps what `keep` says, in order. Costs a visit of every item.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        *self = self.iter().filter(|item| keep(item)).cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_does_not_see_later_changes() {
        let mut list: Chunked<usize> = (0..1000).map(Arc::new).collect();
        let before = list.clone();
        (1000..1300).for_each(|i| list.push(Arc::new(i)));
        list.retain(|i| i % 2 == 0);
        assert!(before.iter().map(|i| **i).eq(0..1000));
        assert!(list.iter().map(|i| **i).eq((0..1300).step_by(2)));
        assert_eq!((before.len(), list.len()), (1000, 650));
    }
}
