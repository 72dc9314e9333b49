//! What the page shows of a queue's settings.

use bookingq_core::QueueName;

use crate::config::{Brand, ItemSetting, QueueSettings};

/// What the page shows of a queue's settings.
#[derive(Debug)]
pub(super) struct PageSettings {
    pub queue: QueueName,
    pub title: String,
    pub brand: Brand,
    pub items: Vec<ItemSetting>,
    /// `/q/NAME`.
    pub base: String,
}

impl PageSettings {
    pub fn new(queue: &QueueName, settings: &QueueSettings) -> Self {
        Self {
            queue: queue.clone(),
            title: settings.title.clone(),
            brand: settings.brand.clone(),
            items: settings.items.clone(),
            base: format!("/q/{queue}"),
        }
    }
}
