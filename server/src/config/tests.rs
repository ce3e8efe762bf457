//! What the settings are when nothing is given, and what is said of bad ones.

use super::*;

fn with(name: &str, value: &str) -> Result<Config, ConfigError> {
    Config::resolve(false, |asked| (asked == name).then(|| value.to_owned()))
}

#[test]
fn the_defaults_are_those_of_section_10() {
    let config = Config::default();
    assert_eq!((config.listen.port, config.listen.ws_port), (8080, 8082));
    assert_eq!(config.listen.host.to_string(), "0.0.0.0");
    assert_eq!(config.auth.timeout, Some(Duration::from_secs(10)));
    assert!(config.auth.jwt_secret.is_none() && !config.auth.allow_anonymous);
    assert_eq!((config.engine.kind, config.engine.data_dir.to_str()), (EngineKind::Sqlite, Some("./data")));
    assert_eq!(config.engine.history_size, Some(1000));
    assert_eq!(config.engine.history_ttl, Some(Duration::from_secs(3600)));
    let limits = &config.limits;
    assert_eq!(limits.max_connections, Some(crate::limits::files::connections()));
    assert_eq!(limits.connect_rate_per_ip, Some(20));
    assert_eq!((limits.max_connections_per_ip, limits.max_connections_per_user), (Some(100), Some(20)));
    assert_eq!((limits.connect_rate, limits.max_message_bytes), (Some(500), Some(65536)));
    assert_eq!((limits.max_rooms, limits.message_rate, limits.message_burst), (Some(100), Some(50), Some(100)));
    assert_eq!((limits.byte_rate, limits.byte_burst), (Some(262_144), Some(1_048_576)));
    assert_eq!(limits.message_timeout, Some(Duration::from_secs(30)));
    assert_eq!((limits.join_rate, limits.join_burst, limits.outbox_bytes), (Some(20), 100, Some(1_048_576)));
    assert_eq!(limits.handshake_timeout, Some(Duration::from_secs(10)));
    assert_eq!(config.liveness.heartbeat, Some(Duration::from_secs(25)));
    assert_eq!(config.liveness.pong_timeout, Some(Duration::from_secs(10)));
    assert_eq!(config.liveness.drain, Duration::from_secs(20));
    assert_eq!((config.logs.format, config.logs.filter.as_str()), (LogFormat::Text, "info"));
}

#[test]
fn dev_is_local_patient_and_without_limits_on_one_person() {
    let config = Config::dev();
    assert_eq!(config.listen.host.to_string(), "127.0.0.1");
    assert_eq!(config.auth.timeout, Some(Duration::from_secs(300)));
    assert_eq!((config.limits.max_connections_per_ip, config.limits.max_connections_per_user), (None, None));
    assert_eq!(config.limits.connect_rate_per_ip, None);
    assert_eq!(config.limits.max_rooms, Some(100), "the other limits stay");
}

#[test]
fn a_given_value_beats_the_default_of_dev() {
    let config = Config::resolve(true, |name| (name == "AUTH_TIMEOUT").then(|| "3s".into())).unwrap();
    assert_eq!(config.auth.timeout, Some(Duration::from_secs(3)));
}

#[test]
fn a_bad_value_names_the_variable_and_what_is_allowed() {
    let error = with("WS_PORT", "eighty").unwrap_err().to_string();
    assert!(error.contains("WS_PORT=\"eighty\"") && error.contains("0 to 65535"), "{error}");
    let error = with("HEARTBEAT", "25").unwrap_err().to_string();
    assert!(error.contains("HEARTBEAT") && error.contains("25s"), "{error}");
    for (name, value) in [
        ("PORT", "70000"),
        ("HOST", "nowhere.example"),
        ("ALLOW_ANONYMOUS", "maybe"),
        ("ALLOWED_ORIGINS", "example.com"),
        ("MAX_ROOMS", "-1"),
        ("MAX_MESSAGE_BYTES", "12"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "info=what=ever"),
    ] {
        assert_eq!(with(name, value).unwrap_err().variable, name);
    }
}

#[test]
fn lists_and_addresses_are_parsed() {
    let key = "a".repeat(64);
    let config = with("API_KEYS", &format!("billing:{key}, ci:{key}")).unwrap();
    assert_eq!(config.auth.api_keys.len(), 2);
    assert_eq!((config.auth.api_keys[0].name.as_str(), config.auth.api_keys[1].sha256[0]), ("billing", 0xaa));
    let config = with("TRUSTED_PROXIES", "10.0.0.0/8, ::1").unwrap();
    assert!(config.listen.trusted_proxies[1].contains(&IpAddr::from(std::net::Ipv6Addr::LOCALHOST)));
    assert_eq!(with("WEBHOOK_EVENTS", "join,custom").unwrap().hooks.events, [HookEvent::Join, HookEvent::Custom]);
    assert_eq!(with("SUPABASE_URL", "https://x.supabase.co/").unwrap().auth.supabase_url.unwrap(), "https://x.supabase.co");
    assert_eq!(with("METRICS_ADDR", "127.0.0.1:9090").unwrap().logs.metrics_addr.unwrap().port(), 9090);
    for (name, value) in [
        ("API_KEYS", "billing"),
        ("API_KEYS", "billing:abc"),
        ("TRUSTED_PROXIES", "example.com"),
        ("WEBHOOK_EVENTS", "join,everything"),
        ("SUPABASE_URL", "x.supabase.co"),
        ("WS_UPSTREAM", "tcp://here"),
        ("WEBHOOK_URL", "ftp://here"),
        ("METRICS_ADDR", "9090"),
    ] {
        assert_eq!(with(name, value).unwrap_err().variable, name, "{value}");
    }
}

#[test]
fn zero_lifts_a_limit_and_an_empty_variable_is_unset() {
    assert_eq!(with("MAX_ROOMS", "0").unwrap().limits.max_rooms, None);
    assert_eq!(with("AUTH_TIMEOUT", "0").unwrap().auth.timeout, None);
    assert_eq!(with("DRAIN", "0").unwrap().liveness.drain, Duration::ZERO);
    assert_eq!(with("MAX_ROOMS", "").unwrap().limits.max_rooms, Some(100));
}

#[test]
fn a_secret_is_never_shown() {
    let config = with("JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-x").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.auth.jwt_secret.unwrap().reveal(), "hunter2-hunter2-hunter2-hunter2-x");
}
