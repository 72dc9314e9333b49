//! Who is who at the gateway: keys, place tokens, passes, enqueue tokens, return URLs.
