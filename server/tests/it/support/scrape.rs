//! The metrics of a server as Prometheus reads them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::request;

/// Series (name and labels, as they are written) to value.
#[derive(Debug)]
pub(crate) struct Scrape(pub(crate) BTreeMap<String, f64>);

impl Scrape {
    pub(crate) async fn of(address: SocketAddr) -> Self {
        let answer = request(address, "GET", "/metrics", None, "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains("content-type: application/openmetrics-text"), "{}", answer.head);
        Self::parse(&answer.body)
    }

    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "{text}");
        let mut series = BTreeMap::new();
        let mut described = "";
        for line in text.lines() {
            if let Some(described_now) = line.strip_prefix("# HELP ") {
                described = described_now.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with(described), "{line} stands under {described}");
                let before = series.insert(name.to_owned(), value.parse().unwrap());
                assert_eq!(before, None, "{name} is there twice");
            }
        }
        Self(series)
    }

    /// A series that must be there.
    pub(crate) fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// Asserts the values of these.
    pub(crate) fn expect(&self, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(self.get(series), *value, "{series}");
        }
    }
}
