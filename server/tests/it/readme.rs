//! The README's walk-through with wscat and its commands, typed line by line against the binary.

use serde_json::Value;

use crate::support::{Client, Connecting, Served, run_at};

const README: &str = include_str!("../../../README.md");

fn walk_through() -> impl Iterator<Item = &'static str> {
    let (_, rest) = README.split_once("<!-- walk-through:").unwrap();
    let (block, _) = rest.split_once("<!-- end of the walk-through -->").unwrap();
    block.lines().filter(|line| line.starts_with(['$', '<', '>']))
}

/// The `"name":value` pairs of a shortened line that say something definite: texts without an ellipsis, booleans, ids.
fn definite(line: &str) -> Vec<String> {
    let mut pairs = Vec::new();
    for (at, _) in line.match_indices("\":") {
        let name_at = line[..at].rfind('"').unwrap();
        let (name, value) = (&line[name_at..=at], &line[at + 2..]);
        let end = match value.strip_prefix('"') {
            Some(text) => text.find('"').map_or(value.len(), |end| end + 2),
            None => value.find([',', '}', ']', '{', '[']).unwrap_or(value.len()),
        };
        let value = &value[..end];
        let says_something = value.starts_with('"') || value == "true" || value == "false" || name == "\"id\"";
        if says_something && !value.contains('…') {
            pairs.push(format!("{name}:{value}"));
        }
    }
    pairs
}

/// Reads to the message that the line shows. Events may come in between, since the printed lines are a selection of them.
async fn expect_line(client: &mut Client, line: &str) {
    let pairs = definite(line);
    assert!(!pairs.is_empty(), "{line} shows nothing to check");
    loop {
        let message: Value = client.next().await;
        let text = message.to_string();
        if pairs.iter().all(|pair| text.contains(pair)) {
            return;
        }
        assert!(message["offset"].is_u64() && message["room"].is_string(), "the README shows {line}, but this came: {text}");
    }
}

#[tokio::test]
async fn the_walk_through_works_as_printed() {
    let served = Served::dev().await;
    let token = served.banner.lines().find(|line| line.starts_with("eyJ")).unwrap();
    let mut client: Option<Client> = None;
    let (mut typed, mut shown) = (0, 0);
    for line in walk_through() {
        let (who, text) = line.split_at(2);
        match who {
            "$ " => {
                assert_eq!(text, "npx wscat -c ws://localhost:8082/ws");
                client = Some(Connecting::new(served.ws).open().await);
            }
            "> " => {
                client.as_mut().unwrap().send_text(text.replace("USER_TOKEN", token)).await;
                typed += 1;
            }
            "< " => {
                expect_line(client.as_mut().unwrap(), text).await;
                shown += 1;
            }
            other => panic!("{other:?} begins {line}"),
        }
    }
    assert!(typed >= 3 && shown >= 4, "connect, auth, join, metrics:get: {typed} typed, {shown} shown");
}

/// Words as a shell makes them, of lines without anything but single quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

#[tokio::test]
async fn the_commands_work_as_printed() {
    let served = Served::dev().await;
    let (_, rest) = README.split_once("<!-- command line:").unwrap();
    let (block, _) = rest.split_once("<!-- end of the command line -->").unwrap();
    let mut run = 0;
    for line in block.lines().filter_map(|line| line.strip_prefix("$ osbackend ")) {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = run_at(&format!("http://{}", served.http), &words).await.ok();
        let shown = match words[0] {
            "status" => "dashboard:overview",
            "listen" => "all green",
            "load" => "lost       0",
            "config" => "WS_PORT",
            _ => "",
        };
        assert!(ended.out.contains(shown), "{line}: {ended:?}");
        run += 1;
    }
    assert!(run >= 6, "{run} commands");
}

#[test]
fn definite_pairs_of_a_shortened_line() {
    let line = r#"{"type":"x","data":{"id":"…","on":true,"offset":57,…},"id":2,…}"#;
    assert_eq!(definite(line), [r#""type":"x""#, r#""on":true"#, r#""id":2"#]);
}
