//! `compat`: records Kafka's answers, compares another broker's with them, and listens in on clients.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use compat_tests::session::Session;
use compat_tests::{compare, proxy, recording, scenarios};

const USAGE: &str = "\
compat record HOST:PORT [SCENARIO...]     write the answers of an Apache Kafka into oracle/
compat compare HOST:PORT [SCENARIO...]    compare a broker's answers with those in oracle/
compat proxy LISTEN UPSTREAM FILE         pass bytes on and write each new kind of request to FILE";

/// How long Kafka takes until its caches know what it has answered.
const KAFKA_SETTLES: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["record", address, chosen @ ..] => record(address, chosen),
        ["compare", address, chosen @ ..] => differences(address, chosen),
        ["proxy", listen, upstream, file] => {
            proxy::run(listen, upstream, Path::new(file)).expect("the proxy listens");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn chosen<'a>(names: &'a [&str]) -> impl Iterator<Item = &'static scenarios::Scenario> + 'a {
    scenarios::ALL
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(name))
}

fn record(address: &str, names: &[&str]) -> ExitCode {
    Session::new(address, KAFKA_SETTLES).warm_up();
    for (name, play) in chosen(names) {
        let mut session = Session::new(address, KAFKA_SETTLES);
        play(&mut session);
        let exchanges = session.finish();
        println!("{name}: {} exchanges", exchanges.len());
        recording::write(&recording::directory(), name, &exchanges)
            .expect("oracle/ can be written");
    }
    ExitCode::SUCCESS
}

fn differences(address: &str, names: &[&str]) -> ExitCode {
    let mut count = 0;
    let pause = std::env::var_os("KAFKA").map_or(Duration::ZERO, |_| KAFKA_SETTLES);
    for (name, play) in chosen(names) {
        let mut session = Session::new(address, pause);
        play(&mut session);
        let recorded = recording::read(&recording::directory(), name);
        match compare::compare(name, &recorded, &session.finish()) {
            Ok(found) => {
                count += found.len();
                found.iter().for_each(|difference| println!("{difference}"));
            }
            Err(reason) => {
                count += 1;
                println!("{reason}");
            }
        }
    }
    println!("{count} differences");
    ExitCode::from(u8::from(count > 0))
}
