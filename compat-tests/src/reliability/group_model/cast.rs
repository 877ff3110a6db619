//! Who takes part: groups of both kinds, with dynamic and static members.

use std::collections::BTreeSet;

use super::clients::{Classic, Consumer, Phase};
use super::consumer::Parts;

/// Groups that only commit offsets, and what administrators ask about.
pub(super) const GROUPS: [&str; 4] = ["classic-1", "classic-2", "consumer-1", "offsets"];

/// Whether a group is one of the consumer protocol.
pub(super) fn is_of_consumers(group: &str) -> bool {
    group.starts_with("consumer")
}

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
    ];
    let consumers = [None, None, None, Some("one"), Some("one")];
    let classics = classics
        .into_iter()
        .map(|(group, instance)| classic(group, instance, random))
        .collect();
    let consumers = consumers
        .into_iter()
        .map(|instance| consumer("consumer-1", instance, random))
        .collect();
    (classics, consumers)
}

fn classic(group: &str, instance: Option<&str>, random: &mut fastrand::Rng) -> Classic {
    Classic {
        group: group.to_owned(),
        instance: instance.map(str::to_owned),
        asks_for_id: random.bool(),
        session_ms: random.u64(1_000..4_000),
        rebalance_ms: random.u64(1_000..5_000),
        topics: BTreeSet::from(["a".to_owned(), "b".to_owned()]),
        phase: Phase::Off,
        id: String::new(),
        generation: -1,
        leads: None,
        has: Vec::new(),
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
