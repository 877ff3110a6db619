//! ApiVersions.

use serde_json::json;

use crate::codec;
use crate::session::Session;

pub(super) fn versions(s: &mut Session) {
    for version in 0..=4 {
        s.case("as clients send it");
        s.ask(
            "ApiVersions",
            version,
            json!({"clientSoftwareName": "differ", "clientSoftwareVersion": "1.0"}),
        );
    }
    s.case("asked twice on one connection");
    for version in [3, 0] {
        s.ask(
            "ApiVersions",
            version,
            json!({"clientSoftwareName": "a", "clientSoftwareVersion": "a"}),
        );
    }
}

pub(super) fn refused(s: &mut Session) {
    for name in ["", "a b", "-a", "a-", "a_b", "ü", "a.b-c"] {
        for (version, other) in [(3, "1.0"), (4, "1.0")] {
            s.case(format!("client name {name:?}"));
            let body = json!({"clientSoftwareName": name, "clientSoftwareVersion": other});
            s.ask("ApiVersions", version, body);
            s.case(format!("client version {name:?}"));
            let body = json!({"clientSoftwareName": other, "clientSoftwareVersion": name});
            s.ask("ApiVersions", version, body);
        }
    }
    for version in [5, 99, i16::MAX, -1] {
        s.case("version that the broker does not know");
        let frame = s.frame_with_body("ApiVersions", version, &[]);
        s.ask_raw("ApiVersions", version, frame);
        s.case("the connection lives on");
        s.ask("ApiVersions", 0, json!({}));
    }
    s.case("unknown version, header of the first version");
    s.ask_raw("ApiVersions", 7, codec::header(18, 7, 1));
    s.case("body cut short");
    let frame = s.frame_with_body("ApiVersions", 3, &[7, b'a']);
    s.ask_raw("ApiVersions", 3, frame);
}
