//! TLS.

use super::{inert, settings};
use crate::config::check::Check;
use crate::config::setting::Class;
use crate::config::value::Secret;

settings! { Broker:
    /// Whether a new certificate may have another name.
    SSL_ALLOW_DN_CHANGES: bool = with("ssl.allow.dn.changes", "false").inert(inert::TLS);
    /// Whether a new certificate may drop alternative names.
    SSL_ALLOW_SAN_CHANGES: bool = with("ssl.allow.san.changes", "false").inert(inert::TLS);
    /// Cipher suites that are allowed; all if empty.
    SSL_CIPHER_SUITES: Vec<String> = with("ssl.cipher.suites", "").per_broker().inert(inert::TLS);
    /// Whether clients must show a certificate.
    SSL_CLIENT_AUTH: String = with("ssl.client.auth", "none")
        .check(Check::OneOf(&["required", "requested", "none"]))
        .per_broker()
        .inert(inert::TLS);
    /// Versions of TLS that are allowed.
    SSL_ENABLED_PROTOCOLS: Vec<String> = with("ssl.enabled.protocols", "TLSv1.2,TLSv1.3")
        .per_broker()
        .inert(inert::TLS);
    /// How host names are checked when the broker connects.
    SSL_ENDPOINT_IDENTIFICATION_ALGORITHM: String = with("ssl.endpoint.identification.algorithm", "https")
        .per_broker()
        .inert(inert::ONE_NODE);
    /// Java class that makes TLS engines.
    SSL_ENGINE_FACTORY_CLASS: Option<Class> = unset("ssl.engine.factory.class")
        .per_broker()
        .inert(inert::JVM);
    /// Password of the key.
    SSL_KEY_PASSWORD: Option<Secret> = unset("ssl.key.password").per_broker().inert(inert::TLS);
    /// Java's name of the key manager.
    SSL_KEYMANAGER_ALGORITHM: String = with("ssl.keymanager.algorithm", "SunX509")
        .per_broker()
        .inert(inert::JVM);
    /// Certificates of the broker, as PEM.
    SSL_KEYSTORE_CERTIFICATE_CHAIN: Option<Secret> = unset("ssl.keystore.certificate.chain")
        .per_broker()
        .inert(inert::TLS);
    /// Key of the broker, as PEM.
    SSL_KEYSTORE_KEY: Option<Secret> = unset("ssl.keystore.key").per_broker().inert(inert::TLS);
    /// File with key and certificates.
    SSL_KEYSTORE_LOCATION: Option<String> = unset("ssl.keystore.location")
        .per_broker()
        .inert(inert::TLS);
    /// Password of that file.
    SSL_KEYSTORE_PASSWORD: Option<Secret> = unset("ssl.keystore.password")
        .per_broker()
        .inert(inert::TLS);
    /// Format of that file.
    SSL_KEYSTORE_TYPE: String = with("ssl.keystore.type", "JKS").per_broker().inert(inert::TLS);
    /// Rules from certificates' names to principals.
    SSL_PRINCIPAL_MAPPING_RULES: String = with("ssl.principal.mapping.rules", "DEFAULT")
        .inert(inert::TLS);
    /// Version of TLS for new connections.
    SSL_PROTOCOL: String = with("ssl.protocol", "TLSv1.3").per_broker().inert(inert::TLS);
    /// Java's name of the security provider.
    SSL_PROVIDER: Option<String> = unset("ssl.provider").per_broker().inert(inert::JVM);
    /// Java's name of the random generator.
    SSL_SECURE_RANDOM_IMPLEMENTATION: Option<String> = unset("ssl.secure.random.implementation")
        .per_broker()
        .inert(inert::JVM);
    /// Java's name of the trust manager.
    SSL_TRUSTMANAGER_ALGORITHM: String = with("ssl.trustmanager.algorithm", "PKIX")
        .per_broker()
        .inert(inert::JVM);
    /// Certificates that are trusted, as PEM.
    SSL_TRUSTSTORE_CERTIFICATES: Option<Secret> = unset("ssl.truststore.certificates")
        .per_broker()
        .inert(inert::TLS);
    /// File with certificates that are trusted.
    SSL_TRUSTSTORE_LOCATION: Option<String> = unset("ssl.truststore.location")
        .per_broker()
        .inert(inert::TLS);
    /// Password of that file.
    SSL_TRUSTSTORE_PASSWORD: Option<Secret> = unset("ssl.truststore.password")
        .per_broker()
        .inert(inert::TLS);
    /// Format of that file.
    SSL_TRUSTSTORE_TYPE: String = with("ssl.truststore.type", "JKS").per_broker().inert(inert::TLS);
}
