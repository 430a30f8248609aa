//! The protocol's page shows every message as it is: the server's as the golden files have them, the clients' as the
//! decoder takes them. `UPDATE_GOLDEN=1 cargo test -p presence-core --test protocol_page` writes the server's anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use presence_core::limits::Limits;
use presence_core::wire::{ClientMessage, decode};

const SERVER: &str = "<!-- server: ";
const CLIENT: &str = "<!-- client -->";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> PathBuf {
    root().join("../docs/protocol.md")
}

fn golden(name: &str) -> String {
    let path = root().join(format!("tests/golden/{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|_| panic!("no golden file {name}"))
}

/// The same JSON, a line for each field of the message.
fn spread(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0, false, false);
    for c in json.trim().chars() {
        if in_text {
            in_text = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            out.push(c);
            continue;
        }
        match c {
            '"' => in_text = true,
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        if c == '}' && depth == 0 {
            out.push('\n');
        }
        out.push(c);
        match c {
            ',' | '{' if depth == 1 => out.push_str("\n  "),
            ',' | ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

/// The page with every example of the server's as its golden file has it, and the names of those.
fn written_anew(page: &str) -> (String, BTreeSet<String>) {
    let (mut text, mut names) = (String::new(), BTreeSet::new());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        let Some(name) = line.strip_prefix(SERVER).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        if lines.next_if(|line| line.starts_with("```")).is_some() {
            while lines.next().is_some_and(|line| !line.starts_with("```")) {}
        }
        let example = spread(&golden(name));
        text.push_str(&format!("```json\n{example}\n```\n"));
        names.insert(name.to_owned());
    }
    (text, names)
}

#[test]
fn every_message_of_the_server_is_shown_as_it_is() {
    let shown = fs::read_to_string(page()).unwrap();
    let (right, names) = written_anew(&shown);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(page(), &right).unwrap();
    } else {
        assert!(shown == right, "docs/protocol.md shows old messages; write it anew with UPDATE_GOLDEN=1");
    }
    let files = fs::read_dir(root().join("tests/golden")).unwrap();
    let all: BTreeSet<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, all, "every message has its example");
}

#[test]
fn every_example_of_a_client_is_taken() {
    let text = fs::read_to_string(page()).unwrap();
    let mut seen = BTreeSet::new();
    for example in text.split(CLIENT).skip(1) {
        let json = example.trim_start().strip_prefix("```json\n").unwrap().split("```").next().unwrap();
        let message = decode(json.trim().as_bytes(), &Limits::default()).message;
        seen.insert(message.unwrap_or_else(|error| panic!("{json}: {error}")).type_name());
    }
    let missing: Vec<&str> =
        ClientMessage::TYPES.iter().copied().filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
}
