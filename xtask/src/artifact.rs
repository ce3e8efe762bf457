//! Builds one cargo target and says where the file is, whatever target directory or platform is set.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::sh::Cmd;

/// Runs a `cargo build …` and returns the file that it made for `target_name` and that ends in `suffix`.
pub(crate) fn build(cargo: Cmd, target_name: &str, suffix: &str) -> Result<PathBuf> {
    let messages = cargo.arg("--message-format=json-render-diagnostics").read_shown()?;
    find(&messages, target_name, suffix).with_context(|| format!("cargo built no `{target_name}{suffix}`"))
}

fn find(messages: &str, target_name: &str, suffix: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["target"]["name"] == target_name)
        .filter(|message| !message["profile"]["test"].as_bool().unwrap_or(false))
        .flat_map(|message| match message["filenames"].as_array() {
            Some(files) => files.clone(),
            None => Vec::new(),
        })
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name == format!("{target_name}{suffix}")
        })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_file_of_the_asked_target_is_found() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"dep\"},\"profile\":{\"test\":false},\"filenames\":[\"/t/libdep.rlib\"]}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"app\"},\"profile\":{\"test\":true},\"filenames\":[\"/t/deps/app\"]}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"app\"},\"profile\":{\"test\":false},\"filenames\":[\"/t/libapp.rlib\",\"/t/app\"]}\n",
        );
        assert_eq!(find(messages, "app", "").expect("found").to_str(), Some("/t/app"));
        assert!(find(messages, "other", "").is_none());
    }
}
