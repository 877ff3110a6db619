//! Runs of `klamm bench`, and topics for them.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::row::{Amount, Load};
use crate::server::Tools;

/// How often, and how long between, a topic that comes into being is looked for.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Where a load goes.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    pub(crate) address: String,
    pub(crate) topic: String,
}

impl Aim {
    /// Runs the load; what `klamm bench` said.
    pub(crate) fn load(
        &self,
        tools: &Tools,
        load: &Load,
        rate: Option<f64>,
    ) -> Result<Value, String> {
        let mut command = self.command(tools, "bench");
        command.args(arguments(load, rate));
        let output = tools.output(command.args(["--topic", &self.topic]))?;
        if !output.status.success() {
            return Err(last_line(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }

    /// Creates the topic, and waits until it is there: Kafka answers before it knows it.
    pub(crate) fn create<'a>(
        &self,
        tools: &Tools,
        partitions: u32,
        settings: impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        let mut command = self.command(tools, "topic");
        command.args(["create", &self.topic, "--partitions"]);
        command.arg(partitions.to_string());
        for setting in settings {
            command.args(["--config", setting]);
        }
        succeed(tools, command)?;
        let mut attempts = 1;
        loop {
            let mut command = self.command(tools, "topic");
            command.args(["describe", &self.topic]);
            match succeed(tools, command) {
                Err(_) if attempts < ATTEMPTS => {
                    attempts += 1;
                    std::thread::sleep(PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    /// Deletes it.
    pub(crate) fn delete(&self, tools: &Tools) -> Result<(), String> {
        let mut command = self.command(tools, "topic");
        command.args(["delete", &self.topic]);
        succeed(tools, command)
    }

    fn command(&self, tools: &Tools, verb: &str) -> Command {
        let mut command = Command::new(&tools.klamm);
        command.env("KLAMM_BROKERS", &self.address);
        command.args([verb, "--format", "json"]);
        command
    }
}

/// What is to be said behind `klamm bench`, but for broker, topic and format.
pub(crate) fn arguments(load: &Load, rate: Option<f64>) -> Vec<String> {
    let words = load.arguments.split_ascii_whitespace();
    let mut all: Vec<_> = words.map(str::to_owned).collect();
    let mut more = |name: &str, value: String| all.extend([name.to_owned(), value]);
    if let Some(rate) = rate {
        more("--rate", format!("{rate:.0}"));
    }
    match load.amount {
        Amount::Records(count) => more("--records", count.to_string()),
        Amount::Seconds(seconds) => more("--duration", seconds.to_string()),
        Amount::All => {}
    }
    all
}

fn succeed(tools: &Tools, mut command: Command) -> Result<(), String> {
    let output = tools.output(&mut command)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(last_line(&output.stderr)),
    }
}

fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.lines().last().unwrap_or("it failed").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::load;

    #[test]
    fn a_load_is_what_a_person_would_type() {
        let typed = |load, rate| arguments(&load, rate).join(" ");
        let fill = load("produce --producers 4", Amount::Records(7));
        assert_eq!(typed(fill, None), "produce --producers 4 --records 7");
        let paced = load("produce", Amount::Seconds(0.4));
        assert_eq!(typed(paced, Some(2.6)), "produce --rate 3 --duration 0.4");
        assert_eq!(typed(load("consume", Amount::All), None), "consume");
    }
}
