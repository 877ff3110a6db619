//! A broker in this process, and the binary as processes that talk to it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use klamm::{Broker, Builder};

pub(crate) const KLAMM: &str = env!("CARGO_BIN_EXE_klamm");

/// A broker, and the runtime that it runs on.
pub(crate) struct Cluster {
    pub(crate) runtime: tokio::runtime::Runtime,
    broker: Option<Broker>,
}

impl Cluster {
    /// In memory.
    pub(crate) fn start() -> Self {
        Self::of(Broker::builder().memory())
    }

    pub(crate) fn of(builder: Builder) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let broker = runtime.block_on(builder.start()).unwrap();
        Self {
            runtime,
            broker: Some(broker),
        }
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    /// A command that talks to this broker.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(KLAMM);
        command.args(arguments);
        command.env("KLAMM_BROKERS", self.broker().bootstrap());
        command
    }

    /// Runs a command with this input; what it printed.
    pub(crate) fn with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed; its stdout.
    pub(crate) fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.with_input(arguments, input.as_bytes());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with this code and without a result; its stderr.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.with_input(arguments, b"");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop()).unwrap();
        }
    }
}
