//! Klamm answers as Apache Kafka did when it was recorded, but for what `oracle/differences.toml`
//! gives a reason for.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use compat_tests::compare::{self, Difference};
use compat_tests::recording::{self, Answer};
use compat_tests::session::Session;
use compat_tests::{klamm_like_kafka, scenarios, schema};
use serde_json::json;

#[test]
fn answers_are_those_of_apache_kafka() {
    let broker = klamm_like_kafka();
    let mut found: Vec<Difference> = Vec::new();
    let mut broken = Vec::new();
    for (name, play) in scenarios::ALL {
        let mut session = Session::new(&broker.address(), Duration::ZERO);
        play(&mut session);
        let recorded = recording::read(&recording::directory(), name);
        match compare::compare(name, &recorded, &session.finish()) {
            Ok(differences) => found.extend(differences),
            Err(reason) => broken.push(reason),
        }
    }
    let meant =
        compare::meant(&Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/differences.toml"));
    let (listed, new): (Vec<_>, Vec<_>) = found
        .iter()
        .partition(|difference| meant.iter().any(|entry| entry.covers(difference)));
    let unused: Vec<_> = meant
        .iter()
        .filter(|entry| !listed.iter().any(|difference| entry.covers(difference)))
        .collect();
    println!(
        "{} differences are meant, by {} entries",
        listed.len(),
        meant.len()
    );
    broken.iter().for_each(|reason| println!("{reason}"));
    new.iter()
        .for_each(|difference| println!("not meant: {difference}"));
    unused
        .iter()
        .for_each(|entry| println!("no difference any more: {entry}"));
    assert!(
        broken.is_empty(),
        "{} scenarios went another way than recorded",
        broken.len()
    );
    assert!(
        new.is_empty(),
        "{} differences are not in the list",
        new.len()
    );
    assert!(
        unused.is_empty(),
        "{} entries of the list are of no use",
        unused.len()
    );
}

#[test]
fn every_served_version_has_an_exchange_captured_from_apache_kafka() {
    let mut captured = BTreeSet::new();
    for (name, _) in scenarios::ALL {
        for exchange in recording::read(&recording::directory(), name) {
            // Kafka lists Produce from 0 on and closes the connection below 3.
            let closed = exchange.api == "Produce" && exchange.version < 3;
            if matches!(exchange.answer, Answer::Reply(_)) || closed {
                captured.insert((exchange.api, exchange.version));
            }
        }
    }
    let broker = klamm_like_kafka();
    let mut session = Session::new(&broker.address(), Duration::ZERO);
    let client = json!({"clientSoftwareName": "golden", "clientSoftwareVersion": "1"});
    let answer = session.ask("ApiVersions", 4, client);
    let rows = answer["apiKeys"]
        .as_array()
        .expect("a table of APIs")
        .clone();
    assert!(rows.len() >= 18);
    for row in rows {
        let number = |name: &str| -> i16 {
            row[name]
                .as_i64()
                .and_then(|number| number.try_into().ok())
                .expect("a number")
        };
        let message = schema::by_key(number("apiKey"));
        let message = message.unwrap_or_else(|| panic!("{row} is not in schemas/messages.txt"));
        for version in number("minVersion")..=number("maxVersion") {
            let pair = (message.name.clone(), version);
            assert!(
                captured.contains(&pair),
                "nothing was captured for {pair:?}"
            );
        }
    }
}
