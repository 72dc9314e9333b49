//! Who changes a template of Pods: the operator itself, by another release or image, or its input.
//! Pure.
//!
//! An operator that makes another template than it made before has got another input: the spec, a
//! Secret, the state of Redis. One that finds the template of another operator cannot know whether
//! the input has changed meanwhile, and takes all for its own change.

use super::stamp::TemplateStamp;

/// What an object shows of its template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveTemplate {
    /// The template that it has; `None` if an operator made it that wrote no stamps.
    pub runs: Option<TemplateStamp>,
    /// The template that waits, if one does.
    pub ready: Option<TemplateStamp>,
    /// Whether the object was applied as this operator would, stamps aside.
    pub is_as_built: bool,
    /// The versions of the Secrets in the template.
    pub secrets: Option<String>,
}

/// Who changes a template. Ordered: what one of some objects needs, all need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplateChange {
    /// Nothing changes.
    Nothing,
    /// The operator alone.
    Operator,
    /// The spec, or what it names.
    Input,
}

/// Compares the template of an object with the one that this operator has made, which names
/// `secrets`.
pub fn template_change(
    live: &LiveTemplate,
    made: &TemplateStamp,
    secrets: Option<&str>,
) -> TemplateChange {
    let has = |stamp: &TemplateStamp| stamp.digest == made.digest;
    let unchanged = match &live.runs {
        Some(runs) => has(runs),
        None => live.is_as_built,
    };
    if unchanged {
        return TemplateChange::Nothing;
    }
    match live.ready.as_ref().or(live.runs.as_ref()) {
        Some(last) if has(last) => TemplateChange::Operator,
        Some(last) if last.has_same_maker(made) => TemplateChange::Input,
        // A rotated password must reach the Pods.
        _ if live.secrets.as_deref() != secrets => TemplateChange::Input,
        _ => TemplateChange::Operator,
    }
}
