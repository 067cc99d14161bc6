//! Fixed texts, looked for all at once.

use aho_corasick::AhoCorasick;

/// Texts, each with what it stands for. One pass finds all of them, however many there are.
pub(crate) struct Search<T> {
    automaton: AhoCorasick,
    meanings: Vec<T>,
}

impl<T: Copy> Search<T> {
    pub(crate) fn new<'t>(texts: impl IntoIterator<Item = (&'t str, T)>) -> Self {
        let (texts, meanings): (Vec<_>, _) = texts.into_iter().unzip();
        let automaton = AhoCorasick::new(texts).expect("some hundred short texts make an automaton");
        Self { automaton, meanings }
    }

    /// Every place in `text` where one of the texts stands: what that means, and what follows it.
    pub(crate) fn all<'s>(&'s self, text: &'s str) -> impl Iterator<Item = (T, &'s str)> {
        let found = self.automaton.find_overlapping_iter(text);
        found.map(|found| (self.meanings[found.pattern().as_usize()], &text[found.end()..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_within_and_over_each_other_are_found() {
        let search = Search::new([("token", 0), ("oke", 1), ("token expired", 2), ("expired", 3), ("é", 4)]);
        let found: Vec<_> = search.all("a token expired, é!").collect();
        assert_eq!(found, [(1, "n expired, é!"), (0, " expired, é!"), (2, ", é!"), (3, ", é!"), (4, "!")]);
        assert_eq!(search.all("tokken").count(), 0);
    }
}
