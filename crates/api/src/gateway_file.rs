//! The file of `bookingq gateway --config`: the queues that a gateway serves, and how each is
//! shown.

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayFile {
    /// The queues.
    pub queues: Vec<GatewayQueueFile>,
}

/// One queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayQueueFile {
    /// Name of the queue.
    pub name: String,
    /// Whether the queue sleeps: it has no workers, and takes no new bookings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hibernates: bool,
    /// URL of its workers; may be left out if `--queue` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<String>,
    /// Title on the page. Defaults to the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `aud` of passes: who accepts them. Defaults to `--audience`, and then to the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Origins whose pages may call the gateway for this queue, besides those of `--origin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Origins to which a pass may be sent. Defaults to `--return-origin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub return_origins: Vec<String>,
    /// Where a pass is sent if the client named no return URL: a URL of one of the return origins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// What can be booked, in the order of the page. Empty: the page offers no choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemFile>,
    /// The look of the page.
    #[serde(default)]
    pub brand: BrandFile,
}

/// An item that the page offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ItemFile {
    /// The item, as the Booking Service names it.
    pub name: String,
    /// Its text on the page. Defaults to the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The largest quantity that the page offers, 1 to 100. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_quantity: Option<u32>,
}

/// The look of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrandFile {
    /// URL of a logo: https:, or a path of the gateway's own host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// Colour of buttons and of the progress, such as `#0a7d4b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// A sentence below the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Link back to the seller's pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}
