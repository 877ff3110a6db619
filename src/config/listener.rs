//! Listeners: `NAME://HOST:PORT`, and which protocol a name speaks.

use std::collections::HashMap;
use std::fmt;

use super::builder::Problem;
use super::effective::Config;
use super::key::Key;
use super::keys;

/// A place to listen at, or to be reached at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in upper case.
    pub name: String,
    /// What it speaks.
    pub protocol: SecurityProtocol,
    /// Host name or address without brackets; empty for every interface.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, host, port, ..
        } = self;
        if host.contains(':') {
            write!(f, "{name}://[{host}]:{port}")
        } else {
            write!(f, "{name}://{host}:{port}")
        }
    }
}

/// What a listener speaks below Kafka's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Nothing.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL.
    SaslPlaintext,
    /// SASL in TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's number of it.
    pub const fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// Kafka's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [
            Self::Plaintext,
            Self::Ssl,
            Self::SaslPlaintext,
            Self::SaslSsl,
        ]
        .into_iter()
        .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// The listeners and, in the same order, what is told to clients.
pub(super) fn resolve(config: &Config) -> Result<(Vec<Listener>, Vec<Listener>), Problem> {
    let blame = |key: Key<String>, message| Problem {
        message,
        origin: config.origin(key).clone(),
    };
    let protocols = protocol_map(config.get(keys::LISTENER_SECURITY_PROTOCOL_MAP))
        .map_err(|message| blame(keys::LISTENER_SECURITY_PROTOCOL_MAP, message))?;
    let controllers: Vec<String> = config
        .get(keys::CONTROLLER_LISTENER_NAMES)
        .map(|names| {
            names
                .split(',')
                .map(|name| name.trim().to_ascii_uppercase())
                .collect()
        })
        .unwrap_or_default();
    let parse = |text: &str| {
        let mut listeners = parse_list(text, &protocols, &controllers)?;
        listeners.retain(|listener| !controllers.contains(&listener.name));
        Ok(listeners)
    };

    let mut listeners = parse(config.get(keys::LISTENERS))
        .and_then(distinct)
        .map_err(|message| blame(keys::LISTENERS, message))?;
    for listener in &mut listeners {
        if is_unspecified(&listener.host) {
            listener.host.clear();
        }
    }
    let Some(text) = config.get(keys::ADVERTISED_LISTENERS) else {
        return Ok((listeners.clone(), listeners));
    };
    let told = parse(text)
        .and_then(|told| advertised(&listeners, told))
        .map_err(|message| Problem {
            message,
            origin: config.origin(keys::ADVERTISED_LISTENERS).clone(),
        })?;
    Ok((listeners, told))
}

/// Refuses what cannot be listened on together.
fn distinct(listeners: Vec<Listener>) -> Result<Vec<Listener>, String> {
    let text = || {
        listeners
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    if listeners.is_empty() {
        return Err("listeners: at least one listener of the broker is needed".to_owned());
    }
    for (number, listener) in listeners.iter().enumerate() {
        let mut earlier = listeners.iter().take(number);
        if earlier.clone().any(|other| other.name == listener.name) {
            return Err(format!(
                "Each listener must have a different name, listeners: {}",
                text()
            ));
        }
        let same = |other: &Listener| other.port == listener.port && other.host == listener.host;
        if listener.port != 0 && earlier.any(same) {
            return Err(format!(
                "Each listener must have a different port, listeners: {}",
                text()
            ));
        }
        if listener.protocol != SecurityProtocol::Plaintext {
            return Err(format!(
                "listener {} asks for {}, which is not there yet; only PLAINTEXT is",
                listener.name,
                listener.protocol.name()
            ));
        }
    }
    Ok(listeners)
}

/// Puts what was advertised in the order of the listeners.
fn advertised(listeners: &[Listener], told: Vec<Listener>) -> Result<Vec<Listener>, String> {
    if told.iter().any(|listener| is_unspecified(&listener.host)) {
        return Err("requirement failed: advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.".to_owned());
    }
    if let Some(stranger) = told
        .iter()
        .find(|told| !listeners.iter().any(|listener| listener.name == told.name))
    {
        return Err(format!(
            "advertised.listeners names {}, which listeners does not",
            stranger.name
        ));
    }
    let one = |listener: &Listener| {
        told.iter()
            .find(|told| told.name == listener.name)
            .unwrap_or(listener)
            .clone()
    };
    Ok(listeners.iter().map(one).collect())
}

fn is_unspecified(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "::")
}

/// `NAME:PROTOCOL` entries, separated by commas.
fn protocol_map(text: &str) -> Result<HashMap<String, SecurityProtocol>, String> {
    let mut map = HashMap::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let parsed = entry.rsplit_once(':').and_then(|(name, protocol)| {
            Some((
                name.trim().to_ascii_uppercase(),
                SecurityProtocol::parse(protocol.trim())?,
            ))
        });
        let Some((name, protocol)) = parsed else {
            return Err(format!(
                "Invalid value {text} for configuration listener.security.protocol.map: {entry} is not NAME:PROTOCOL with a protocol of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
            ));
        };
        map.insert(name, protocol);
    }
    Ok(map)
}

/// `NAME://HOST:PORT` entries, separated by commas.
fn parse_list(
    text: &str,
    protocols: &HashMap<String, SecurityProtocol>,
    controllers: &[String],
) -> Result<Vec<Listener>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let error = |why: &str| format!("Error creating broker listeners from '{text}': {why}");
            let (name, host, port) = parse_one(entry)
                .ok_or_else(|| error(&format!("Unable to parse {entry} to a broker endpoint")))?;
            let protocol = match protocols.get(&name) {
                Some(protocol) => *protocol,
                // A controller's listener is left out later: what it would speak does not matter.
                None if controllers.contains(&name) => SecurityProtocol::Plaintext,
                None => {
                    return Err(error(&format!(
                        "No security protocol defined for listener {name}"
                    )));
                }
            };
            Ok(Listener {
                name,
                protocol,
                host,
                port,
            })
        })
        .collect()
}

/// Splits `NAME://HOST:PORT`; the host may be in brackets.
fn parse_one(entry: &str) -> Option<(String, String, u16)> {
    let (name, address) = entry.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':');
    let port = port.parse().ok()?;
    let valid = !name.is_empty() && host.chars().all(legal);
    valid.then(|| (name.to_ascii_uppercase(), host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(listeners: &[Listener]) -> Vec<String> {
        listeners.iter().map(ToString::to_string).collect()
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        let builder = pairs
            .iter()
            .fold(Config::builder(), |builder, (key, value)| {
                builder.set(key, value)
            });
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn hosts_may_be_empty_names_or_addresses_and_ports_may_be_zero() {
        let config = Config::builder()
            .set(
                "listeners",
                "plaintext://:0, INTERNAL://[::1]:9092,X://a-b.c:1,ALL://0.0.0.0:2",
            )
            .set(
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,internal:plaintext,X:PLAINTEXT,ALL:PLAINTEXT",
            )
            .set("advertised.listeners", "X://outside:5")
            .build()
            .unwrap();
        let bound = [
            "PLAINTEXT://:0",
            "INTERNAL://[::1]:9092",
            "X://a-b.c:1",
            "ALL://:2",
        ];
        assert_eq!(texts(config.listeners()), bound);
        let told = [
            "PLAINTEXT://:0",
            "INTERNAL://[::1]:9092",
            "X://outside:5",
            "ALL://:2",
        ];
        assert_eq!(texts(config.advertised_listeners()), told);
    }

    #[test]
    fn listeners_of_the_controller_are_left_out() {
        let config = Config::builder()
            .set("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093")
            .set(
                "advertised.listeners",
                "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
            )
            .set("controller.listener.names", "CONTROLLER")
            .build()
            .unwrap();
        assert_eq!(texts(config.listeners()), ["PLAINTEXT://:9092"]);
        assert_eq!(
            texts(config.advertised_listeners()),
            ["PLAINTEXT://localhost:9092"]
        );
    }

    #[test]
    fn what_cannot_be_listened_on_is_refused() {
        for (pairs, told) in [
            (
                &[("listeners", "PLAINTEXT:9092")][..],
                "Unable to parse PLAINTEXT:9092",
            ),
            (&[("listeners", "PLAINTEXT://:70000")], "Unable to parse"),
            (
                &[("listeners", "X://:1")],
                "No security protocol defined for listener X",
            ),
            (&[("listeners", "")], "at least one listener"),
            (
                &[("listeners", "SSL://:1")],
                "asks for SSL, which is not there yet",
            ),
            (
                &[("listeners", "PLAINTEXT://:1,PLAINTEXT://:2")],
                "must have a different name",
            ),
            (
                &[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")],
                "nonroutable meta-address",
            ),
            (
                &[("advertised.listeners", "SSL://a:1")],
                "advertised.listeners names SSL",
            ),
            (
                &[("listener.security.protocol.map", "A:B")],
                "A:B is not NAME:PROTOCOL",
            ),
        ] {
            let refusal = refusal(pairs);
            assert!(
                refusal.contains(told) && refusal.ends_with("(--set)"),
                "{refusal}"
            );
        }
    }
}
