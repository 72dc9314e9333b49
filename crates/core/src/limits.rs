//! Sizes that are fixed on purpose, in one place.

/// Longest client, request, payment and reservation id, and longest item, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Longest queue name, in bytes.
pub const MAX_QUEUE_BYTES: usize = 127;
/// Largest payload of a booking, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 4096;
/// Longest reason kept for a refused booking, in bytes. What is longer is cut at a character
/// boundary.
pub const MAX_REASON_BYTES: usize = 512;
/// Most tickets in one booking.
pub const MAX_QUANTITY: i32 = 100;
/// Most entries of one `EnqueueBatch`.
pub const MAX_ENQUEUE_BATCH: usize = 1000;
/// Most clients of one `GetStatusBatch`.
pub const MAX_STATUS_BATCH: usize = 1000;
/// Most members one store script touches.
pub const MAX_STORE_BATCH: usize = 256;
/// Most items of a queue that have a sold out rule of their own.
pub const MAX_SOLD_OUT_RULES: usize = 64;

/// The text on one line, cut at a character boundary to [`MAX_REASON_BYTES`].
pub fn reason(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(MAX_REASON_BYTES)];
    kept.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }).collect()
}
