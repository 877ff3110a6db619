//! One connection: frames, correlation ids, and the versions that both sides speak.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{BrokerCode, ClientError, refused};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take. Longer than any timeout that is put into a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The version of ApiVersions that every broker with flexible versions understands.
const API_VERSIONS_VERSION: i16 = 3;

/// Newest versions that this client speaks, where the codec knows newer ones that need topic ids.
const NAMES_VERSION_MAX: &[(i16, i16)] = &[(0, 12), (1, 12), (20, 5)];

/// A connection to one broker.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    /// What the broker supports: API key → lowest and highest version.
    supported: HashMap<i16, (i16, i16)>,
    correlation_id: i32,
}

impl Connection {
    /// Connects and asks for the versions that the broker supports.
    pub(super) async fn open(address: &str) -> Result<Self, ClientError> {
        let io = |source| ClientError::Io {
            address: address.to_owned(),
            source,
        };
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| ClientError::Timeout {
                address: address.to_owned(),
                seconds: CONNECT_TIMEOUT.as_secs(),
            })?
            .map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        let mut connection = Self {
            stream,
            address: address.to_owned(),
            supported: HashMap::new(),
            correlation_id: 0,
        };
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(env!("CARGO_PKG_NAME")))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let answer = connection.exchange(API_VERSIONS_VERSION, &request).await?;
        BrokerCode::check(answer.error_code)
            .map_err(|code| refused("ApiVersions", code, None::<&str>))?;
        connection.supported = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(connection)
    }

    /// Sends the request that `request` makes for the negotiated version; the answer to it.
    pub(super) async fn call<R: Request>(
        &mut self,
        request: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let version = self.version::<R>()?;
        self.exchange(version, &request(version)).await
    }

    /// Sends a request that is not answered (Produce with acks 0).
    pub(super) async fn tell<R: Request>(
        &mut self,
        request: impl FnOnce(i16) -> R,
    ) -> Result<(), ClientError> {
        let version = self.version::<R>()?;
        self.send(version, &request(version)).await
    }

    /// The lowest and highest version of an API that the broker speaks.
    pub(super) fn versions(&self, api: i16) -> Option<(i16, i16)> {
        self.supported.get(&api).copied()
    }

    /// The newest version that both sides speak.
    fn version<R: Request>(&self) -> Result<i16, ClientError> {
        let ours = NAMES_VERSION_MAX
            .iter()
            .find(|(key, _)| *key == R::KEY)
            .map_or(R::VERSIONS.max, |(_, max)| R::VERSIONS.max.min(*max));
        self.supported
            .get(&R::KEY)
            .map(|(min, max)| (ours.min(*max), *min))
            .filter(|(version, min)| version >= min && *version >= R::VERSIONS.min)
            .map(|(version, _)| version)
            .ok_or_else(|| ClientError::Version {
                address: self.address.clone(),
                api: R::KEY,
            })
    }

    async fn exchange<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        let both = async {
            self.send(version, request).await?;
            self.receive::<R>(version).await
        };
        match timeout(ANSWER_TIMEOUT, both).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Timeout {
                address: self.address.clone(),
                seconds: ANSWER_TIMEOUT.as_secs(),
            }),
        }
    }

    async fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), ClientError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str(env!("CARGO_PKG_NAME"))));
        let mut frame = BytesMut::from(&[0; 4][..]);
        header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|error| self.malformed(format!("cannot encode: {error}")))?;
        let length = i32::try_from(frame.len().saturating_sub(4))
            .map_err(|_| self.malformed("the request is too large".to_owned()))?;
        if let Some(prefix) = frame.first_chunk_mut() {
            *prefix = length.to_be_bytes();
        }
        self.stream
            .write_all(&frame)
            .await
            .map_err(|source| self.io(source))
    }

    async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, ClientError> {
        let length = self
            .stream
            .read_i32()
            .await
            .map_err(|source| self.io(source))?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= ANSWER_BYTES_MAX)
            .ok_or_else(|| self.malformed(format!("a frame of {length} bytes")))?;
        let mut frame = vec![0; length];
        self.stream
            .read_exact(&mut frame)
            .await
            .map_err(|source| self.io(source))?;
        let mut frame = Bytes::from(frame);
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        if frame.len() < 4 {
            return Err(self.malformed("a frame without a header".to_owned()));
        }
        let header = ResponseHeader::decode(&mut frame, header_version)
            .map_err(|error| self.malformed(error.to_string()))?;
        if header.correlation_id != self.correlation_id {
            return Err(self.malformed(format!(
                "correlation id {} for {}",
                header.correlation_id, self.correlation_id
            )));
        }
        let answer = R::Response::decode(&mut frame, version)
            .map_err(|error| self.malformed(error.to_string()))?;
        if frame.has_remaining() {
            return Err(self.malformed(format!("{} bytes too many", frame.remaining())));
        }
        Ok(answer)
    }

    fn io(&self, source: std::io::Error) -> ClientError {
        ClientError::Io {
            address: self.address.clone(),
            source,
        }
    }

    fn malformed(&self, what: String) -> ClientError {
        ClientError::Malformed {
            address: self.address.clone(),
            what,
        }
    }
}
