//! Who takes part: groups of both kinds, and one that changes its kind, with dynamic and static
//! members.

use std::collections::BTreeSet;

use super::clients::{Classic, Consumer, Phase};
use super::consumer::Parts;
use super::parts::Named;

/// The group that members of both protocols join.
pub(super) const MIXED: &str = "mixed-1";

/// All groups, among them one that only commits offsets: what administrators ask about.
pub(super) const GROUPS: [&str; 6] = [
    "classic-1",
    "classic-2",
    "consumer-1",
    "offsets",
    MIXED,
    "connect-1",
];

/// All clients, none of which runs.
pub(super) fn all(random: &mut fastrand::Rng) -> (Vec<Classic>, Vec<Consumer>) {
    let classics = [
        ("classic-1", None),
        ("classic-1", None),
        ("classic-1", Some("one")),
        // The same instance twice: one of them is fenced.
        ("classic-1", Some("one")),
        ("classic-2", None),
        ("classic-2", Some("two")),
        ("classic-2", Some("three")),
        ("connect-1", None),
        ("connect-1", None),
        (MIXED, None),
        (MIXED, None),
        (MIXED, Some("one")),
    ];
    let consumers = [
        ("consumer-1", None),
        ("consumer-1", None),
        ("consumer-1", None),
        ("consumer-1", Some("one")),
        ("consumer-1", Some("one")),
        (MIXED, None),
        (MIXED, None),
        (MIXED, Some("one")),
    ];
    let classics = classics
        .into_iter()
        .map(|(group, instance)| classic(group, instance, random))
        .collect();
    let consumers = consumers
        .into_iter()
        .map(|(group, instance)| consumer(group, instance, random))
        .collect();
    (classics, consumers)
}

fn classic(group: &str, instance: Option<&str>, random: &mut fastrand::Rng) -> Classic {
    let is_connect = group.starts_with("connect");
    // One protocol is offered by all, so that nobody is refused for what it offers.
    let protocols = match (is_connect, random.u8(..3)) {
        (false, _) => vec!["range"],
        (true, 0) => vec!["compatible"],
        (true, 1) => vec!["compatible", "eager"],
        (true, _) => vec!["eager", "compatible"],
    };
    Classic {
        group: group.to_owned(),
        instance: instance.map(str::to_owned),
        asks_for_id: random.bool(),
        session_ms: random.u64(1_000..4_000),
        rebalance_ms: random.u64(1_000..5_000),
        topics: BTreeSet::from(["a".to_owned(), "b".to_owned()]),
        protocol_type: if is_connect { "connect" } else { "consumer" },
        protocols,
        is_cooperative: group == MIXED && random.bool(),
        phase: Phase::Off,
        id: String::new(),
        generation: -1,
        leads: None,
        has: Named::new(),
        has_ids: Parts::new(),
    }
}

fn consumer(group: &str, instance: Option<&str>, random: &mut fastrand::Rng) -> Consumer {
    Consumer {
        group: group.to_owned(),
        instance: instance.map(str::to_owned),
        rebalance_ms: random.u64(1_000..5_000),
        topics: vec!["a".to_owned()],
        expression: random.bool().then(|| "[ab]".to_owned()),
        is_on: false,
        id: String::new(),
        epoch: 0,
        has: Parts::new(),
        shall_have: Parts::new(),
        waits: None,
        says_all: true,
    }
}
