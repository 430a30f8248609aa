//! The settings as a page of Markdown, which is `docs/configuration.md`.

use super::read::defaults;
use super::settings::{SETTINGS, is_secret, plain};

const BEGIN: &str = "\
# Settings

A setting has one name in three spellings: the flag `--grace-ms`, the variable `PRESENCE_GRACE_MS`, and `grace_ms` in a
TOML file (`--config FILE` or `PRESENCE_CONFIG`). Flags win over variables, variables over the file. Lists are written
with commas in flags and variables. A setting that does not exist, or that contradicts another, keeps the server from
starting, and it says which. `presence-server config check` says the same without starting, and shows what is in effect.

This page is what `presence-server config reference` prints; a test compares the two.
";

/// Defaults that are another on each machine.
const OF_THE_MACHINE: [(&str, &str); 2] = [("threads", "the cores"), ("shards", "half the cores")];

/// The page.
pub(super) fn text() -> String {
    let defaults = defaults();
    let mut page = BEGIN.to_owned();
    let mut heading = "";
    for setting in SETTINGS {
        if setting.heading != heading {
            heading = setting.heading;
            page.push_str(&format!("\n## {heading}\n\n| setting | default | |\n| --- | --- | --- |\n"));
        }
        let machine = OF_THE_MACHINE.iter().find(|(name, _)| *name == setting.name);
        let default = match (machine, defaults.get(setting.name).map(plain)) {
            (Some((_, default)), _) => (*default).to_owned(),
            (None, Some(default)) if !default.is_empty() && !is_secret(setting.name) => {
                format!("`{default}`")
            }
            _ => String::new(),
        };
        page.push_str(&format!("| `{}` | {default} | {} |\n", setting.name, setting.help));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap();
        let repeat = "cargo run --quiet -- config reference > docs/configuration.md";
        assert!(page == text(), "the settings have changed; write them down with\n  {repeat}");
    }
}
