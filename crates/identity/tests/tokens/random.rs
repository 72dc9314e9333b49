//! Properties: no input but a signed one passes, and none panics.

use bookingq_core::{BookingId, QueueNumber};
use bookingq_identity::{BackendClaims, EnqueueClaims, PassVerifier, PlaceClaims};
use proptest::prelude::*;

use crate::{ISSUER, NOW, a_place, client, queue, ring, seconds};

const TEXT: &str = "(\\PC*|[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,90}){0,4})";

proptest! {
    #[test]
    fn what_is_signed_is_read_back(
        name in "[^\\p{Cc}]{1,30}", booking in any::<u128>(), number in any::<u64>(),
        epoch in ".{0,40}", life in 1u64..1_000_000,
    ) {
        let mut place = a_place();
        place.client = client(&name);
        place.booking = BookingId::from_u128(booking);
        place.number = QueueNumber::new(number);
        place.epoch = epoch;
        place.expires_at = NOW + seconds(life);
        let token = place.sign(&ring(), NOW).unwrap();
        prop_assert_eq!(PlaceClaims::verify(&token, &ring(), &queue("concert"), NOW), Ok(place));
    }

    /// Any one character changed, removed or added: refused, because a token has one spelling.
    #[test]
    fn an_altered_token_is_refused(
        at in any::<prop::sample::Index>(), new in any::<char>(), how in 0..3,
    ) {
        let token: Vec<char> = a_place().sign(&ring(), NOW).unwrap().chars().collect();
        let at = at.index(token.len());
        let mut altered = token.clone();
        match how {
            0 => altered[at] = new,
            1 => drop(altered.remove(at)),
            _ => altered.insert(at, new),
        }
        prop_assume!(altered != token);
        let text: String = altered.into_iter().collect();
        prop_assert!(PlaceClaims::verify(&text, &ring(), &queue("concert"), NOW).is_err());
    }

    #[test]
    fn no_text_is_a_token_and_none_panics(text in TEXT) {
        let ring = ring();
        let concert = queue("concert");
        prop_assert!(PlaceClaims::verify(&text, &ring, &concert, NOW).is_err());
        prop_assert!(EnqueueClaims::verify(&text, &ring, &concert, ISSUER, NOW).is_err());
        prop_assert!(BackendClaims::verify(&text, &ring, &concert, ISSUER, NOW).is_err());
        let passes = PassVerifier::new(&ring.jwks(), ISSUER, ISSUER).unwrap();
        prop_assert!(passes.verify(&text, NOW).is_err());
    }
}
