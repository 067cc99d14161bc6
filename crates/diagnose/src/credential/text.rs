//! What is asked of any text.

/// Whether `lead` stands at `at`, in any case.
pub(super) fn leads(text: &str, at: usize, lead: &str) -> bool {
    text.as_bytes().get(at..at + lead.len()).is_some_and(|start| start.eq_ignore_ascii_case(lead.as_bytes()))
}

/// `end` without the marks of the sentence around a value.
pub(super) fn trimmed(text: &str, from: usize, end: usize) -> usize {
    from + text[from..end].trim_end_matches(['.', ':', '!', '?', '*']).len()
}
