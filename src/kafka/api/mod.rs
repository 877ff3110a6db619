//! One file per API. Each opens with its contract: versions, behaviour, what is not there.

pub(crate) mod api_versions;
