//! Settings of rdkafka that several tests share.

use std::time::Duration;

use compat_tests::server::Server;
use rdkafka::ClientConfig;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn client(server: &Server, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", server.address())
        .set("broker.address.family", "v4");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}
