//! Authorization, principals and delegation tokens.

use super::{inert, settings};
use crate::config::check::Check;
use crate::config::setting::Class;
use crate::config::value::Secret;

settings! { Broker:
    /// Java class that authorizes; empty for none.
    AUTHORIZER_CLASS_NAME: String = with("authorizer.class.name", "")
        .check(Check::NonNull)
        .inert(inert::AUTH);
    /// How often expired delegation tokens are looked for.
    DELEGATION_TOKEN_EXPIRY_CHECK_INTERVAL_MS: i64 = with("delegation.token.expiry.check.interval.ms", "3600000")
        .check(Check::AtLeast(1))
        .inert(inert::AUTH);
    /// How long a delegation token lives without renewal.
    DELEGATION_TOKEN_EXPIRY_TIME_MS: i64 = with("delegation.token.expiry.time.ms", "86400000")
        .check(Check::AtLeast(1))
        .inert(inert::AUTH);
    /// How long a delegation token lives at most.
    DELEGATION_TOKEN_MAX_LIFETIME_MS: i64 = with("delegation.token.max.lifetime.ms", "604800000")
        .check(Check::AtLeast(1))
        .inert(inert::AUTH);
    /// Secret that delegation tokens are made with.
    DELEGATION_TOKEN_SECRET_KEY: Option<Secret> = unset("delegation.token.secret.key")
        .inert(inert::AUTH);
    /// Java class that names the principal of a connection.
    PRINCIPAL_BUILDER_CLASS: Class = with("principal.builder.class", "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder")
        .per_broker()
        .inert(inert::JVM);
    /// Java classes of security providers.
    SECURITY_PROVIDERS: Option<String> = unset("security.providers").inert(inert::JVM);
}
