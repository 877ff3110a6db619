//! A broker in the process of the test, with settings of the test's own; or the one at `BROKER`.

use compat_tests::session::Session;
use serde_json::json;

pub(crate) struct InProcess {
    address: String,
    _own: Option<Own>,
}

struct Own {
    runtime: tokio::runtime::Runtime,
    broker: Option<klamm::Broker>,
    data: std::path::PathBuf,
}

impl InProcess {
    /// Starts it on an empty directory of this name.
    pub(crate) fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        if let Ok(address) = std::env::var("BROKER") {
            return Self {
                address,
                _own: None,
            };
        }
        let data = compat_tests::server::scratch().join(format!("{name}-data"));
        let _ = std::fs::remove_dir_all(&data);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let mut builder = klamm::Broker::builder().data_dir(&data);
        for (name, value) in settings {
            builder = builder.set(name, value);
        }
        let broker = runtime.block_on(builder.start()).expect("a broker");
        Self {
            address: broker.bootstrap(),
            _own: Some(Own {
                runtime,
                broker: Some(broker),
                data,
            }),
        }
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _within = self.runtime.enter();
        self.broker = None;
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// Creates a topic with one partition.
pub(crate) fn create(session: &mut Session, name: &str, configs: &[(&str, &str)]) {
    let configs: Vec<_> = configs
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let topic = json!({
        "name": name, "numPartitions": 1, "replicationFactor": 1, "configs": configs
    });
    let body = json!({"topics": [topic], "timeoutMs": 10_000});
    let created = session.ask("CreateTopics", 7, body);
    assert_eq!(created["topics"][0]["errorCode"], 0, "{name}: {created}");
}
