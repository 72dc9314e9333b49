//! Values that clients draw from, by weight.

use std::str::FromStr;
use std::sync::Arc;

use bookingq_core::{Details, Invalid, Quantity};

const ITEMS_RULE: &str = "ITEM:WEIGHT, such as A:9,B:1";
const QUANTITIES_RULE: &str = "QUANTITY:WEIGHT, such as 1:6,2:3,4:1";

/// Values with their weights: only the proportions matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights<T>(Vec<(T, u32)>);

impl<T: Clone + PartialEq> Weights<T> {
    /// These weights; values that are absent never occur.
    pub fn new(weights: impl IntoIterator<Item = (T, u32)>) -> Self {
        Self(weights.into_iter().collect())
    }

    /// The same value for all.
    pub fn all(value: T) -> Self {
        Self::new([(value, 1)])
    }

    /// The weight of one value.
    pub fn weight(&self, of: &T) -> u32 {
        self.0.iter().filter(|(value, _)| value == of).map(|(_, weight)| weight).sum()
    }

    /// The value of a client that drew `chance`, evenly from `[0, 1)`; the first one if all weights
    /// are 0, and `None` without any value.
    pub fn draw(&self, chance: f64) -> Option<T> {
        let mut left = chance * self.0.iter().map(|&(_, weight)| f64::from(weight)).sum::<f64>();
        let drawn = self.0.iter().find(|&&(_, weight)| {
            left -= f64::from(weight);
            left < 0.0
        });
        drawn.or(self.0.first()).map(|(value, _)| value.clone())
    }

    fn parse(
        text: &str,
        field: &'static str,
        rule: &'static str,
        value: impl Fn(&str) -> Option<T>,
    ) -> Result<Self, Invalid> {
        let one = |part: &str| {
            let (name, weight) = part.trim().rsplit_once(':').unwrap_or((part.trim(), "1"));
            Some((value(name)?, weight.parse().ok()?))
        };
        let weights: Option<Vec<_>> = text.split(',').map(one).collect();
        let weights = weights.filter(|weights| weights.iter().any(|(_, weight)| *weight > 0));
        weights.map(Self).ok_or_else(|| Invalid::new(field, text, rule))
    }
}

/// `A:9,B:1`; a weight that is missing is 1.
impl FromStr for Weights<Arc<str>> {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let item = |name: &str| Details::new(name, 1, &[]).ok().map(|details| details.item);
        Self::parse(text, "items", ITEMS_RULE, item)
    }
}

/// `1:6,2:3,4:1`; a weight that is missing is 1.
impl FromStr for Weights<Quantity> {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let quantity = |name: &str| {
            let number = name.parse().ok().filter(|number| *number > 0)?;
            Quantity::new(number).ok()
        };
        Self::parse(text, "quantities", QUANTITIES_RULE, quantity)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn weights_are_read_and_drawn_in_their_proportions() {
        let items: Weights<Arc<str>> = "A:3,VIP box:1".parse().unwrap();
        let drawn = |chance| items.draw(chance).unwrap();
        assert_eq!((&*drawn(0.0), &*drawn(0.74), &*drawn(0.76)), ("A", "A", "VIP box"));
        let quantities: Weights<Quantity> = "1:6,2:3,4".parse().unwrap();
        assert_eq!(quantities.weight(&Quantity::new(4).unwrap()), 1);
        assert_eq!(Weights::new([("A", 0), ("B", 0)]).draw(0.5), Some("A"));
    }

    #[test]
    fn other_text_is_refused_with_an_example() {
        for bad in ["", "0:1", "101:1", "-1:1", "2:x", "1:0", "A:1"] {
            let error = bad.parse::<Weights<Quantity>>().unwrap_err();
            assert_eq!((&*error.field, error.allowed), ("quantities", QUANTITIES_RULE), "{bad}");
        }
        assert_eq!("A:".parse::<Weights<Arc<str>>>().unwrap_err().allowed, ITEMS_RULE);
    }
}
