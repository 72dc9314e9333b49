//! Who made the template of Pods that an object has, in an annotation.

use std::fmt;

use crate::environment::OperatorEnvironment;

/// A template, and the operator that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateStamp {
    /// The release of the operator.
    pub release: String,
    /// The image of Pods for which the spec names none.
    pub image: String,
    /// Digest of the template.
    pub digest: String,
}

impl TemplateStamp {
    /// That of a template which this operator makes.
    pub fn new(environment: &OperatorEnvironment, digest: String) -> Self {
        let OperatorEnvironment { image, release, .. } = environment;
        Self { release: release.clone(), image: image.clone(), digest }
    }

    /// Reads an annotation; `None` if it is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(str::to_owned);
        let stamp = Self { release: words.next()?, image: words.next()?, digest: words.next()? };
        let whole = words.next().is_none() && !stamp.digest.is_empty();
        whole.then_some(stamp)
    }

    /// Whether the same operator has made both: then they differ by its input only.
    pub fn has_same_maker(&self, other: &Self) -> bool {
        (&self.release, &self.image) == (&other.release, &other.image)
    }

    /// The operator, for a person.
    pub fn maker(&self) -> String {
        format!("{} ({})", self.release, self.image)
    }
}

/// The annotation.
impl fmt::Display for TemplateStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, image, digest } = self;
        write!(f, "{release} {image} {digest}")
    }
}
