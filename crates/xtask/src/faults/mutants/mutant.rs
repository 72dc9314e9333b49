//! What a mutant is.

/// File, text, replacement.
pub(super) type Edit = (&'static str, &'static str, &'static str);

/// An engine with one fault.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// The checker must find one of these invariants broken.
    pub(super) breaks: &'static [u64],
    pub(super) edits: &'static [Edit],
    /// Options of the run, where the usual ones seldom show the fault.
    pub(super) options: &'static [&'static str],
}
