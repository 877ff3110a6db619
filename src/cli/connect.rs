//! Which broker the commands talk to.

use super::CommandError;
use crate::kafka::client::Client;

/// The environment variable that stands in for `-b`.
const VARIABLE: &str = "KLAMM_BROKERS";

/// Where the broker is, if nobody says.
const DEFAULT: &str = "127.0.0.1:9092";

/// Arguments of every command that talks to a broker.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Connect {
    /// Brokers to start from, separated by commas [env: KLAMM_BROKERS] [default: 127.0.0.1:9092]
    #[arg(short = 'b', long = "brokers", value_name = "HOST:PORT", global = true)]
    brokers: Option<String>,
}

impl Connect {
    /// A client that is connected.
    pub(crate) async fn client(&self) -> Result<Client, CommandError> {
        let brokers = match &self.brokers {
            Some(brokers) => brokers.clone(),
            None => std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT.to_owned()),
        };
        Ok(Client::connect(&brokers).await?)
    }
}
