//! What can go wrong between this client and a broker.

use std::fmt;

use kafka_protocol::error::ResponseError;

/// Why a request was not answered with what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The list of brokers is empty.
    #[error("no broker in {0:?}")]
    NoBroker(String),
    /// The socket failed.
    #[error("{address}: {source}")]
    Io {
        /// The broker.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing came in time.
    #[error("{address} did not answer within {seconds} s")]
    Timeout {
        /// The broker.
        address: String,
        /// How long was waited.
        seconds: u64,
    },
    /// What came is not an answer to what was asked.
    #[error("{address}: malformed answer: {what}")]
    Malformed {
        /// The broker.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// The broker speaks no version of an API that this client speaks.
    #[error("{address} supports no usable version of API {api}")]
    Version {
        /// The broker.
        address: String,
        /// API key.
        api: i16,
    },
    /// Metadata names no such broker.
    #[error("broker {0} is not in the cluster's metadata")]
    UnknownNode(i32),
    /// Some partition has no leader, and did not get one.
    #[error("{0}: a partition has no leader")]
    NoLeader(String),
    /// The broker said nothing about what was asked.
    #[error("{0}: the broker did not answer for it")]
    Unanswered(String),
    /// The broker answered with an error.
    #[error("{subject}: {code}{}", detail(message.as_deref()))]
    Refused {
        /// Topic, partition or request.
        subject: String,
        /// Kafka's error.
        code: BrokerCode,
        /// What the broker says about it.
        message: Option<String>,
    },
}

fn detail(message: Option<&str>) -> String {
    message
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

impl ClientError {
    /// Whether it may go better later.
    pub(crate) fn is_retriable(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_retriable())
    }

    /// Whether a broker says that there is no such topic.
    pub(crate) fn is_unknown_topic(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_unknown_topic())
    }

    /// Whether a broker says that there is no such group.
    pub(crate) fn is_unknown_group(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_unknown_group())
    }
}

/// An error code of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokerCode(ResponseError);

impl BrokerCode {
    /// The error, unless the code says that there is none.
    pub(super) fn check(code: i16) -> Result<(), Self> {
        match ResponseError::try_from_code(code) {
            Some(error) => Err(Self(error)),
            None => Ok(()),
        }
    }

    /// Whether newer metadata may help.
    pub(crate) fn is_retriable(self) -> bool {
        self.0.is_retriable()
    }

    /// Whether the topic or partition does not exist.
    pub(crate) fn is_unknown_topic(self) -> bool {
        self.0 == ResponseError::UnknownTopicOrPartition
    }

    /// Whether there is no such group, or it is of another type.
    pub(super) fn is_unknown_group(self) -> bool {
        self.0 == ResponseError::GroupIdNotFound
    }
}

impl fmt::Display for BrokerCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The generated names are Kafka's, in another case.
        let name = format!("{:?}", self.0);
        for (at, letter) in name.chars().enumerate() {
            if letter.is_ascii_uppercase() && at > 0 {
                f.write_str("_")?;
            }
            write!(f, "{}", letter.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

/// Kafka's name of an error code.
pub(crate) fn error_name(code: i16) -> String {
    match BrokerCode::check(code) {
        Ok(()) => "NONE".to_owned(),
        Err(code) => code.to_string(),
    }
}

/// An error about a topic, a partition or the request itself.
pub(super) fn refused(
    subject: impl Into<String>,
    code: BrokerCode,
    message: Option<impl fmt::Display>,
) -> ClientError {
    ClientError::Refused {
        subject: subject.into(),
        code,
        message: message.map(|message| message.to_string()),
    }
}
