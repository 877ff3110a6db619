//! `meta.properties`: whose data directory it is (Kafka's `MetaProperties`, version 1).
//!
//! ```text
//! #
//! cluster.id=5L6g3nShT-eMCtK--X86sw
//! directory.id=2QTKYEgC2ic34UV-VuXpdg
//! node.id=1
//! version=1
//! ```

use crate::model::NodeId;

use super::{Malformed, number};

/// The file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: String,
    /// The directory, in base64; absent where an older Kafka formatted it.
    pub directory_id: Option<String>,
    /// The broker.
    pub node_id: NodeId,
}

/// The file's content.
pub fn encode(properties: &MetaProperties) -> String {
    let directory = match &properties.directory_id {
        Some(id) => format!("directory.id={id}\n"),
        None => String::new(),
    };
    format!(
        "#\ncluster.id={}\n{directory}node.id={}\nversion=1\n",
        properties.cluster_id, properties.node_id
    )
}

/// The inverse of [`encode`], in any order of lines and with other properties left aside.
pub fn decode(content: &str) -> Result<MetaProperties, Malformed> {
    let property = |key: &str| {
        content
            .lines()
            .filter(|line| !line.trim_start().starts_with(['#', '!']))
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim().to_owned())
    };
    let required =
        |key: &str| property(key).ok_or_else(|| Malformed::Field(format!("'{key}' is missing")));
    match number::<i64>(&required("version")?)? {
        1 => Ok(MetaProperties {
            cluster_id: required("cluster.id")?,
            directory_id: property("directory.id"),
            node_id: NodeId(number(&required("node.id")?)?),
        }),
        other => Err(Malformed::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_survive_the_round_trip() {
        let properties = MetaProperties {
            cluster_id: "5L6g3nShT-eMCtK--X86sw".to_owned(),
            directory_id: Some("2QTKYEgC2ic34UV-VuXpdg".to_owned()),
            node_id: NodeId(1),
        };
        assert_eq!(decode(&encode(&properties)), Ok(properties.clone()));
        let without = MetaProperties {
            directory_id: None,
            ..properties
        };
        assert_eq!(decode(&encode(&without)), Ok(without));
    }

    #[test]
    fn a_file_that_kafka_wrote_is_read() {
        let content = "#\n#Sat Nov 21 03:18:22 UTC 2026\nnode.id=1\ndirectory.id=2QTKYEgC2ic34UV-VuXpdg\nversion=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n";
        let read = decode(content).unwrap();
        assert_eq!(read.cluster_id, "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(read.node_id, NodeId(1));
    }

    #[test]
    fn a_file_without_its_keys_or_of_another_version_is_refused() {
        for content in [
            "",
            "version=1\n",
            "version=0\nbroker.id=1\n",
            "version=1\ncluster.id=a\nnode.id=x\n",
        ] {
            assert!(decode(content).is_err(), "{content:?}");
        }
    }
}
