//! What may happen to three nodes, their clients and their operators.

use bookingq_operator::redis_failover::view::{NODES, NodeIndex};
use proptest::prelude::*;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A client writes to a node that takes writes, however old its knowledge is.
    Write(NodeIndex),
    /// A replica copies up to so many entries of its source.
    Copy(NodeIndex, usize),
    /// The operator looks and does all steps.
    Pass,
    /// The operator looks, does so many steps, and is replaced by another one.
    CrashAfter(usize),
    /// An operator that was stopped does its last step now.
    LateStep,
    /// The same, between the look of the present operator and its steps, while that one elects.
    /// What arrives later, until the others have the new term, is not found.
    PassAfterLateStep,
    /// Time passes.
    Wait(u8),
    /// The process ends, or starts again with its data.
    Kill(NodeIndex),
    Start(NodeIndex),
    /// The node loses its data, if it is not the last with an acknowledged write.
    Wipe(NodeIndex),
    /// The operator loses sight of the node, or finds it again.
    Hide(NodeIndex),
    Show(NodeIndex),
    /// The template of the Pods changes.
    Outdate,
}

/// Something random.
pub fn happening() -> impl Strategy<Value = Happening> {
    let node = 0..NODES;
    prop_oneof![
        8 => node.clone().prop_map(Happening::Write),
        8 => (node.clone(), 1_usize..4).prop_map(|(node, count)| Happening::Copy(node, count)),
        8 => Just(Happening::Pass),
        2 => (0_usize..3).prop_map(Happening::CrashAfter),
        1 => Just(Happening::LateStep),
        2 => Just(Happening::PassAfterLateStep),
        3 => (1_u8..8).prop_map(Happening::Wait),
        1 => node.clone().prop_map(Happening::Kill),
        3 => node.clone().prop_map(Happening::Start),
        1 => node.clone().prop_map(Happening::Wipe),
        1 => node.clone().prop_map(Happening::Hide),
        3 => node.prop_map(Happening::Show),
        1 => Just(Happening::Outdate),
    ]
}
