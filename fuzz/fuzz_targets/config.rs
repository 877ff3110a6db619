//! The parsers of configuration files, the environment and flags.
//!
//! Properties: nothing panics; a configuration that is accepted is accepted again; every value
//! that is wrong is an error, not a default.
#![no_main]

use std::path::Path;

use klamm::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    let builder = || match kind % 5 {
        0 => Config::builder().file(Path::new("server.properties"), bytes),
        1 => Config::builder().file(Path::new("klamm.toml"), bytes),
        2 => Config::builder().file(Path::new("klamm.json"), bytes),
        other => {
            let text = String::from_utf8_lossy(bytes);
            let (key, value) = text.split_once('=').unwrap_or((&text, ""));
            match other {
                3 => Config::builder().env([(format!("KAFKA_{key}"), value.to_owned())]),
                _ => Config::builder().set(key, value),
            }
        }
    };
    assert_eq!(builder().build().is_ok(), builder().build().is_ok());
});
