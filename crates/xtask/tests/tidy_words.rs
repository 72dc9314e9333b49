//! Words that are not used.
#![allow(clippy::unwrap_used)]

use xtask::tidy::words::unwanted;

fn found(line: &str) -> Vec<String> {
    unwanted(line).into_iter().map(|(word, _)| word).collect()
}

#[test]
fn words_are_found_whole_and_inside_of_names() {
    assert_eq!(found("let told_twice = VaultDoor::new(told1);"), ["told", "vault", "door", "told"]);
    assert_eq!(found("A store says What Became Of each"), ["what became of"]);
    assert_eq!(found("outdoor, foretell, Visitor, visit_str"), ["visit"]);
}

#[test]
fn tickets_are_goods_and_have_no_order() {
    assert_eq!(found("the ticket number, ticket_number"), ["ticket number", "ticket_number"]);
    assert_eq!(found("two tickets from the Ticket Service, spec.ticket"), [""; 0]);
}
