//! ApiVersions v0–v4
//!
//! *Behaviour:* lists the rows of `APIS` and the features. A version that is not served is
//! answered in v0 with UNSUPPORTED_VERSION and the range of this API alone, without reading the
//! body (KIP-511); every other API closes the connection in that case. A client name or version
//! with strange characters is INVALID_REQUEST.
//!
//! *Versions:* v1 throttle time; v3 client software, features (KIP-511, KIP-584), flexible body
//! under an old response header; v4 lists supported features whose lowest level is 0, which
//! clients of v3 cannot parse (KAFKA-17011).
//!
//! *Not implemented:* throttling.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::catalog::Image;
use crate::kafka::codec;
use crate::kafka::dispatch::{APIS, Context, Handler};
use crate::kafka::frame::API_VERSIONS_KEY;
use crate::kafka::reply::{Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version that names the client's software.
const CLIENT_SOFTWARE_VERSION: i16 = 3;

/// First version whose clients can parse a feature with lowest level 0.
const ZERO_LEVEL_VERSION: i16 = 4;

/// Features with the levels that work here, as Kafka 4.1.2 knows them, by name.
const SUPPORTED_FEATURES: [(&str, i16, i16); 3] = [
    ("group.version", 0, 1),
    ("kraft.version", 0, 1),
    ("metadata.version", 7, 27),
];

/// The handler.
pub(crate) struct ApiVersions;

impl Handler for ApiVersions {
    type Request = ApiVersionsRequest;
    const KEY: i16 = API_VERSIONS_KEY;
    const NAME: &'static str = "ApiVersions";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;
    const SCHEMA: &'static Schema = &schema::API_VERSIONS;

    fn start(context: Context, request: ApiVersionsRequest) -> Result<Reply, Close> {
        let named = context.version < CLIENT_SOFTWARE_VERSION
            || [
                &request.client_software_name,
                &request.client_software_version,
            ]
            .into_iter()
            .all(|text| is_software_name(text));
        let response = if named {
            answer(context.version, &context.broker().catalog.image())
        } else {
            ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code())
        };
        Reply::ready(&context, &response)
    }
}

/// The body for a version that is not served, in v0.
pub(crate) fn unsupported_version() -> Result<Vec<u8>, Close> {
    let response = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(
            rows()
                .filter(|row| row.api_key == API_VERSIONS_KEY)
                .collect(),
        );
    codec::encode(&response, 0)
}

fn rows() -> impl Iterator<Item = ApiVersion> {
    APIS.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key)
            .with_min_version(api.advertised_min)
            .with_max_version(api.max)
    })
}

fn answer(version: i16, image: &Image) -> ApiVersionsResponse {
    let response = ApiVersionsResponse::default().with_api_keys(rows().collect());
    if version < CLIENT_SOFTWARE_VERSION {
        return response;
    }
    let supported = SUPPORTED_FEATURES
        .iter()
        .filter(|(_, min, _)| *min > 0 || version >= ZERO_LEVEL_VERSION)
        .map(|&(name, min, max)| {
            SupportedFeatureKey::default()
                .with_name(StrBytes::from_static_str(name))
                .with_min_version(min)
                .with_max_version(max)
        });
    let finalized = image.features().iter().map(finalized_feature).collect();
    response
        .with_supported_features(supported.collect())
        .with_finalized_features(finalized)
        // The offset of the newest record that the image holds.
        .with_finalized_features_epoch(image.next_offset().get() - 1)
}

fn finalized_feature((name, &level): (&String, &i16)) -> FinalizedFeatureKey {
    FinalizedFeatureKey::default()
        .with_name(StrBytes::from_string(name.clone()))
        .with_min_version_level(level)
        .with_max_version_level(level)
}

/// Kafka's `ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`: letters, digits, `-` and `.`,
/// with a letter or digit at both ends.
fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kafkas_pattern() {
        for legal in ["a", "apache-kafka-java", "4.1.2", "a--b..c", "1"] {
            assert!(is_software_name(legal), "{legal}");
        }
        for illegal in ["", "-", "-a", "a-", ".", "a.", "a b", "a_b", "ä", "a\n"] {
            assert!(!is_software_name(illegal), "{illegal}");
        }
    }

    #[test]
    fn a_version_that_is_not_served_is_answered_with_the_range_of_this_api() {
        // Error 35, one key: 18 from 0 to 4.
        let body = unsupported_version().unwrap();
        assert_eq!(&body[..], b"\0\x23\0\0\0\x01\0\x12\0\0\0\x04");
    }

    #[test]
    fn features_with_lowest_level_0_are_for_clients_that_can_parse_them() {
        let image = Image::default();
        let names = |version| -> Vec<String> {
            let answer = answer(version, &image);
            answer
                .supported_features
                .iter()
                .map(|feature| feature.name.to_string())
                .collect()
        };
        assert_eq!(names(2), Vec::<String>::new());
        assert_eq!(names(3), ["metadata.version"]);
        assert_eq!(
            names(4),
            ["group.version", "kraft.version", "metadata.version"]
        );
    }

    #[test]
    fn every_row_of_the_table_is_told_with_its_advertised_range() {
        let answer = answer(0, &Image::default());
        let told: Vec<_> = answer
            .api_keys
            .iter()
            .map(|row| (row.api_key, row.min_version, row.max_version))
            .collect();
        let rows: Vec<_> = APIS
            .iter()
            .map(|api| (api.key, api.advertised_min, api.max))
            .collect();
        assert_eq!(told, rows);
    }
}
