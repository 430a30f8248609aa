//! The checks of the TypeScript client and of the page that is made with it: they need Node and a browser.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::provide::{Need, path};
use crate::step::Step;

const FOLDER: &str = "clients/typescript";

/// The oldest that the tools run on.
const NODE_MIN: u32 = 20;

const NODE: &[Need] = &[Need { program: "node", package: "nodejs" }, Need { program: "npm", package: "npm" }];

const BROWSER: &[Need] = &[Need { program: "chromium", package: "chromium" }];

/// Names of checks, and the scripts of `package.json` that they are.
const SCRIPTS: [(&str, &str); 8] = [
    ("client supply", "supply"),
    ("client lints", "lint"),
    ("client types", "typecheck"),
    ("client", "test:unit"),
    ("client build", "build"),
    ("client size", "size"),
    ("client package", "publint"),
    ("page is built", "demo:check"),
];

/// Names of checks that talk to a real server.
const WITH_SERVER: [(&str, &str); 2] =
    [("client end to end", "test:e2e"), ("page in a browser", "test:browser")];

/// All of them, in the order in which they fail fastest. The server is the one that was built last.
pub(crate) fn steps(target: &Path) -> Vec<Step> {
    let npm = |name: &str, arguments: &str| Step {
        folder: FOLDER,
        needs: NODE,
        ..Step::new("npm", name, arguments)
    };
    let mut steps = vec![npm("client packages", "ci --no-audit --no-fund")];
    steps.extend(SCRIPTS.map(|(name, script)| npm(name, &format!("run --silent {script}"))));
    steps.push(Step::new("cargo", "server", "build --quiet --package presence-server --locked"));
    let server = target.join("debug").join("presence-server").display().to_string();
    steps.extend(WITH_SERVER.map(|(name, script)| Step {
        environment: Some(("PRESENCE_SERVER", server.clone())),
        needs: BROWSER,
        ..npm(name, &format!("run --silent {script}"))
    }));
    steps
}

/// Fails, and says what to install, if the Node that is there is too old: that of Debian 12 is.
pub(crate) fn node_is_recent() -> Result<()> {
    let said = Command::new("node").arg("--version").env("PATH", path()).output();
    let version = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match version {
        Ok(version) if major(&version).is_some_and(|major| major >= NODE_MIN) => Ok(()),
        Ok(version) => bail!("{}", complaint(&version)),
        Err(_) => bail!("{}", complaint("missing")),
    }
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn complaint(found: &str) -> String {
    format!(
        "the checks of {FOLDER} need Node {NODE_MIN} or later, and here it is {found}; Debian 13 has it \
         (apt-get install nodejs npm), for Debian 12 do\n  npm install --global n && n {NODE_MIN}\n\
         or take it from https://nodejs.org/en/download"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("v18.19.0"), Some(18));
        assert_eq!(major("20"), None);
        assert!(complaint("v18.19.0").contains("here it is v18.19.0"));
    }

    #[test]
    fn the_scripts_are_there() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FOLDER).join("package.json");
        let package: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(package).unwrap()).unwrap();
        for (name, script) in SCRIPTS.iter().chain(&WITH_SERVER) {
            assert!(package["scripts"][script].is_string(), "{name}: there is no script {script}");
        }
    }
}
