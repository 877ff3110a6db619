//! What reads and changes configs.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;

use super::field::{
    ALL, BOOL, INT8, INT8_ARRAY, Kind, STRING_ARRAY, Schema, array_of, field, since,
};

/// DescribeConfigs (32).
pub(crate) static DESCRIBE_CONFIGS: Schema = Schema {
    flexible: 4,
    fields: &[
        field(
            "resources",
            ALL,
            array_of::<DescribeConfigsResource>(&[
                field("resource_type", ALL, INT8),
                field("resource_name", ALL, Kind::String),
                field("configuration_keys", ALL, STRING_ARRAY).nullable(ALL),
            ]),
        ),
        field("include_synonyms", since(1), BOOL),
        field("include_documentation", since(3), BOOL),
    ],
};

/// AlterConfigs (33).
pub(crate) static ALTER_CONFIGS: Schema = Schema {
    flexible: 2,
    fields: &[
        field(
            "resources",
            ALL,
            array_of::<AlterConfigsResource>(&[
                field("resource_type", ALL, INT8),
                field("resource_name", ALL, Kind::String),
                field(
                    "configs",
                    ALL,
                    array_of::<AlterableConfig>(&[
                        field("name", ALL, Kind::String),
                        field("value", ALL, Kind::String).nullable(ALL),
                    ]),
                ),
            ]),
        ),
        field("validate_only", ALL, BOOL),
    ],
};

/// IncrementalAlterConfigs (44).
pub(crate) static INCREMENTAL_ALTER_CONFIGS: Schema = Schema {
    flexible: 1,
    fields: &[
        field(
            "resources",
            ALL,
            array_of::<incremental::AlterConfigsResource>(&[
                field("resource_type", ALL, INT8),
                field("resource_name", ALL, Kind::String),
                field(
                    "configs",
                    ALL,
                    array_of::<incremental::AlterableConfig>(&[
                        field("name", ALL, Kind::String),
                        field("config_operation", ALL, INT8),
                        field("value", ALL, Kind::String).nullable(ALL),
                    ]),
                ),
            ]),
        ),
        field("validate_only", ALL, BOOL),
    ],
};

/// ListConfigResources (74).
pub(crate) static LIST_CONFIG_RESOURCES: Schema = Schema {
    flexible: 0,
    fields: &[field("resource_types", since(1), INT8_ARRAY)],
};
