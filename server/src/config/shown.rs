//! What may be shown of a value that somebody gave: an address without who logs in there, and without its query, in which keys stand.

/// `text` with every address in it cut so. To be used wherever a given address is shown, logged or part of an error.
///
/// ```
/// use osbackend_server::config::without_secrets;
/// assert_eq!(without_secrets("ws://ada:hunter2@host:1/ws?key=k"), "ws://[redacted]@host:1/ws?[redacted]");
/// ```
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        shown.push_str(before);
        // A comma or a quote would end an address in a list, and may as well stand in a password: a space can't.
        let (address, behind) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        // The last `@`, as a password may have any.
        let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
        if host.len() < address.len() {
            shown.push_str("[redacted]@");
        }
        match host.split_once(['?', '#']) {
            Some((host, _)) => shown.extend([host, "?[redacted]"]),
            None => shown.push_str(host),
        }
        rest = behind;
    }
    // Without a scheme it may have been meant as an address all the same.
    if shown.is_empty() && rest.contains('@') && rest.contains(':') {
        return rest.rsplit_once('@').map_or_else(String::new, |(_, host)| format!("[redacted]@{host}"));
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_in_and_the_query_are_not_shown() {
        for (given, shown) in [
            ("ws://127.0.0.1:8082/ws", "ws://127.0.0.1:8082/ws"),
            ("postgres://ada:hunter2@host/db?sslmode=require", "postgres://[redacted]@host/db?[redacted]"),
            ("https://ada:hun/ter2@2@host", "https://[redacted]@host"),
            ("redis://:hunter2@host", "redis://[redacted]@host"),
            (
                "no answer from http://a:hunter2@b and http://c:hunter2@d",
                "no answer from http://[redacted]@b and http://[redacted]@d",
            ),
            ("http://host/hook#hunter2", "http://host/hook?[redacted]"),
            ("ada:hunter2@host", "[redacted]@host"),
            ("25s", "25s"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(given), shown);
        }
    }
}
