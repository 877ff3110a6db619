//! SASL.

use super::{inert, settings};
use crate::config::check::Check;
use crate::config::setting::Class;
use crate::config::value::Secret;

settings! { Broker:
    /// Java class behind the client side of SASL.
    SASL_CLIENT_CALLBACK_HANDLER_CLASS: Option<Class> = unset("sasl.client.callback.handler.class")
        .inert(inert::JVM);
    /// Mechanisms that clients may use.
    SASL_ENABLED_MECHANISMS: Vec<String> = with("sasl.enabled.mechanisms", "GSSAPI")
        .per_broker()
        .inert(inert::AUTH);
    /// JAAS login of the listeners.
    SASL_JAAS_CONFIG: Option<Secret> = unset("sasl.jaas.config").per_broker().inert(inert::AUTH);
    /// Path of kinit.
    SASL_KERBEROS_KINIT_CMD: String = with("sasl.kerberos.kinit.cmd", "/usr/bin/kinit")
        .per_broker()
        .inert(inert::GSSAPI);
    /// Least time between two logins.
    SASL_KERBEROS_MIN_TIME_BEFORE_RELOGIN: i64 = with("sasl.kerberos.min.time.before.relogin", "60000")
        .per_broker()
        .inert(inert::GSSAPI);
    /// Rules from principals to short names.
    SASL_KERBEROS_PRINCIPAL_TO_LOCAL_RULES: Vec<String> = with("sasl.kerberos.principal.to.local.rules", "DEFAULT")
        .per_broker()
        .inert(inert::GSSAPI);
    /// Name of the service.
    SASL_KERBEROS_SERVICE_NAME: Option<String> = unset("sasl.kerberos.service.name")
        .per_broker()
        .inert(inert::GSSAPI);
    /// Jitter of renewals.
    SASL_KERBEROS_TICKET_RENEW_JITTER: f64 = with("sasl.kerberos.ticket.renew.jitter", "0.05")
        .per_broker()
        .inert(inert::GSSAPI);
    /// Share of a ticket's life after which it is renewed.
    SASL_KERBEROS_TICKET_RENEW_WINDOW_FACTOR: f64 = with("sasl.kerberos.ticket.renew.window.factor", "0.8")
        .per_broker()
        .inert(inert::GSSAPI);
    /// Java class behind the login.
    SASL_LOGIN_CALLBACK_HANDLER_CLASS: Option<Class> = unset("sasl.login.callback.handler.class")
        .inert(inert::JVM);
    /// Java class of the login.
    SASL_LOGIN_CLASS: Option<Class> = unset("sasl.login.class").inert(inert::JVM);
    /// Timeout of connecting to the provider of tokens.
    SASL_LOGIN_CONNECT_TIMEOUT_MS: Option<i32> = unset("sasl.login.connect.timeout.ms")
        .inert(inert::ONE_NODE);
    /// Timeout of reading from the provider of tokens.
    SASL_LOGIN_READ_TIMEOUT_MS: Option<i32> = unset("sasl.login.read.timeout.ms")
        .inert(inert::ONE_NODE);
    /// Least time before the end of a token at which it is renewed.
    SASL_LOGIN_REFRESH_BUFFER_SECONDS: i16 = with("sasl.login.refresh.buffer.seconds", "300")
        .per_broker()
        .inert(inert::ONE_NODE);
    /// Least time between two renewals.
    SASL_LOGIN_REFRESH_MIN_PERIOD_SECONDS: i16 = with("sasl.login.refresh.min.period.seconds", "60")
        .per_broker()
        .inert(inert::ONE_NODE);
    /// Share of a token's life after which it is renewed.
    SASL_LOGIN_REFRESH_WINDOW_FACTOR: f64 = with("sasl.login.refresh.window.factor", "0.8")
        .per_broker()
        .inert(inert::ONE_NODE);
    /// Jitter of renewals.
    SASL_LOGIN_REFRESH_WINDOW_JITTER: f64 = with("sasl.login.refresh.window.jitter", "0.05")
        .per_broker()
        .inert(inert::ONE_NODE);
    /// Longest pause between logins.
    SASL_LOGIN_RETRY_BACKOFF_MAX_MS: i64 = with("sasl.login.retry.backoff.max.ms", "10000")
        .inert(inert::ONE_NODE);
    /// First pause between logins.
    SASL_LOGIN_RETRY_BACKOFF_MS: i64 = with("sasl.login.retry.backoff.ms", "100")
        .inert(inert::ONE_NODE);
    /// Mechanism towards controllers.
    SASL_MECHANISM_CONTROLLER_PROTOCOL: String = with("sasl.mechanism.controller.protocol", "GSSAPI")
        .inert(inert::ONE_NODE);
    /// Mechanism among brokers.
    SASL_MECHANISM_INTER_BROKER_PROTOCOL: String = with("sasl.mechanism.inter.broker.protocol", "GSSAPI")
        .per_broker()
        .inert(inert::ONE_NODE);
    /// Algorithm that signs assertions.
    SASL_OAUTHBEARER_ASSERTION_ALGORITHM: String = with("sasl.oauthbearer.assertion.algorithm", "RS256")
        .check(Check::OneOfAnyCase(&["ES256", "RS256"]))
        .inert(inert::ONE_NODE);
    /// Audience of assertions.
    SASL_OAUTHBEARER_ASSERTION_CLAIM_AUD: Option<String> = unset("sasl.oauthbearer.assertion.claim.aud")
        .inert(inert::ONE_NODE);
    /// Life of assertions.
    SASL_OAUTHBEARER_ASSERTION_CLAIM_EXP_SECONDS: i32 = with("sasl.oauthbearer.assertion.claim.exp.seconds", "300")
        .check(Check::Between(0, 86_400))
        .inert(inert::ONE_NODE);
    /// Issuer of assertions.
    SASL_OAUTHBEARER_ASSERTION_CLAIM_ISS: Option<String> = unset("sasl.oauthbearer.assertion.claim.iss")
        .inert(inert::ONE_NODE);
    /// Whether assertions carry an id of their own.
    SASL_OAUTHBEARER_ASSERTION_CLAIM_JTI_INCLUDE: bool = with("sasl.oauthbearer.assertion.claim.jti.include", "false")
        .inert(inert::ONE_NODE);
    /// How long before now assertions begin.
    SASL_OAUTHBEARER_ASSERTION_CLAIM_NBF_SECONDS: i32 = with("sasl.oauthbearer.assertion.claim.nbf.seconds", "60")
        .check(Check::Between(0, 3600))
        .inert(inert::ONE_NODE);
    /// Subject of assertions.
    SASL_OAUTHBEARER_ASSERTION_CLAIM_SUB: Option<String> = unset("sasl.oauthbearer.assertion.claim.sub")
        .inert(inert::ONE_NODE);
    /// File of a ready assertion.
    SASL_OAUTHBEARER_ASSERTION_FILE: Option<String> = unset("sasl.oauthbearer.assertion.file")
        .inert(inert::ONE_NODE);
    /// Key that signs assertions.
    SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE: Option<String> = unset("sasl.oauthbearer.assertion.private.key.file")
        .inert(inert::ONE_NODE);
    /// Passphrase of that key.
    SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE: Option<Secret> = unset("sasl.oauthbearer.assertion.private.key.passphrase")
        .inert(inert::ONE_NODE);
    /// Template of assertions.
    SASL_OAUTHBEARER_ASSERTION_TEMPLATE_FILE: Option<String> = unset("sasl.oauthbearer.assertion.template.file")
        .inert(inert::ONE_NODE);
    /// Client id towards the provider of tokens.
    SASL_OAUTHBEARER_CLIENT_CREDENTIALS_CLIENT_ID: Option<String> = unset("sasl.oauthbearer.client.credentials.client.id")
        .inert(inert::ONE_NODE);
    /// Client secret towards the provider of tokens.
    SASL_OAUTHBEARER_CLIENT_CREDENTIALS_CLIENT_SECRET: Option<Secret> = unset("sasl.oauthbearer.client.credentials.client.secret")
        .inert(inert::ONE_NODE);
    /// Tolerance of times in tokens.
    SASL_OAUTHBEARER_CLOCK_SKEW_SECONDS: i32 = with("sasl.oauthbearer.clock.skew.seconds", "30")
        .inert(inert::AUTH);
    /// Audiences that tokens must name.
    SASL_OAUTHBEARER_EXPECTED_AUDIENCE: Option<Vec<String>> = unset("sasl.oauthbearer.expected.audience")
        .inert(inert::AUTH);
    /// Issuer that tokens must name.
    SASL_OAUTHBEARER_EXPECTED_ISSUER: Option<String> = unset("sasl.oauthbearer.expected.issuer")
        .inert(inert::AUTH);
    /// How often the keys of the provider are read again.
    SASL_OAUTHBEARER_JWKS_ENDPOINT_REFRESH_MS: i64 = with("sasl.oauthbearer.jwks.endpoint.refresh.ms", "3600000")
        .inert(inert::AUTH);
    /// Longest pause between reads of those keys.
    SASL_OAUTHBEARER_JWKS_ENDPOINT_RETRY_BACKOFF_MAX_MS: i64 = with("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", "10000")
        .inert(inert::AUTH);
    /// First pause between reads of those keys.
    SASL_OAUTHBEARER_JWKS_ENDPOINT_RETRY_BACKOFF_MS: i64 = with("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "100")
        .inert(inert::AUTH);
    /// Where those keys are.
    SASL_OAUTHBEARER_JWKS_ENDPOINT_URL: Option<String> = unset("sasl.oauthbearer.jwks.endpoint.url")
        .inert(inert::AUTH);
    /// Java class that gets tokens.
    SASL_OAUTHBEARER_JWT_RETRIEVER_CLASS: Class = with("sasl.oauthbearer.jwt.retriever.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever")
        .inert(inert::JVM);
    /// Java class that checks tokens.
    SASL_OAUTHBEARER_JWT_VALIDATOR_CLASS: Class = with("sasl.oauthbearer.jwt.validator.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator")
        .inert(inert::JVM);
    /// Scope to ask tokens for.
    SASL_OAUTHBEARER_SCOPE: Option<String> = unset("sasl.oauthbearer.scope").inert(inert::ONE_NODE);
    /// Claim that holds the scope.
    SASL_OAUTHBEARER_SCOPE_CLAIM_NAME: String = with("sasl.oauthbearer.scope.claim.name", "scope")
        .inert(inert::AUTH);
    /// Claim that holds the subject.
    SASL_OAUTHBEARER_SUB_CLAIM_NAME: String = with("sasl.oauthbearer.sub.claim.name", "sub")
        .inert(inert::AUTH);
    /// Where tokens come from.
    SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: Option<String> = unset("sasl.oauthbearer.token.endpoint.url")
        .inert(inert::ONE_NODE);
    /// Java class behind the server side of SASL.
    SASL_SERVER_CALLBACK_HANDLER_CLASS: Option<Class> = unset("sasl.server.callback.handler.class")
        .inert(inert::JVM);
    /// Largest SASL message.
    SASL_SERVER_MAX_RECEIVE_SIZE: i32 = with("sasl.server.max.receive.size", "524288")
        .inert(inert::AUTH);
}
