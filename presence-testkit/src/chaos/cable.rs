//! Two machines and the cable between them: network namespaces, and rules in them that drop what comes or goes. Only a
//! privileged process may make them.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::proxy::Way;

/// Addresses that are for examples (RFC 5737), so that they are nobody's.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A machine with a server, one with clients, and a cable. Gone with the value.
#[derive(Debug)]
pub struct Cable {
    /// The namespace of the server's machine.
    pub near: String,
    /// That of the clients' machine.
    pub far: String,
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            // It may never have been made.
            let _ = run("ip", &format!("netns delete {namespace}"));
        }
    }
}

impl Cable {
    /// Lays one.
    ///
    /// # Errors
    /// If this process may not.
    pub fn lay() -> Result<Self> {
        let name = format!("presence-chaos-{}", std::process::id());
        let cable = Self { near: format!("{name}-s"), far: format!("{name}-c") };
        let (near, far) = (&cable.near, &cable.far);
        let laying = [
            format!("netns add {near}"),
            format!("netns add {far}"),
            format!("link add cable netns {near} type veth peer name cable netns {far}"),
            format!("-n {near} address add {SERVER}/24 dev cable"),
            format!("-n {far} address add {CLIENT}/24 dev cable"),
            format!("-n {near} link set lo up"),
            format!("-n {far} link set lo up"),
            format!("-n {near} link set cable up"),
            format!("-n {far} link set cable up"),
        ];
        laying.iter().try_for_each(|command| run("ip", command))?;
        Ok(cable)
    }
}

/// Runs a program on one of the machines.
pub fn on(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// Drops everything that goes one way, or both; no FIN, no RST, nobody is told.
///
/// # Errors
/// If this process may not.
pub fn cut(far: &str, way: Option<Way>) -> Result<()> {
    nft(far, "add table inet chaos")?;
    for (hook, its_way) in [("output", Way::Up), ("input", Way::Down)] {
        if way.is_none_or(|way| way == its_way) {
            nft(
                far,
                &format!(
                    "add chain inet chaos {hook} {{ type filter hook {hook} priority 0; policy drop; }}"
                ),
            )?;
        }
    }
    Ok(())
}

/// Lets everything through again.
///
/// # Errors
/// If it was not cut.
pub fn mend(far: &str) -> Result<()> {
    nft(far, "delete table inet chaos")
}

fn nft(namespace: &str, rule: &str) -> Result<()> {
    ended_well(on(namespace, "nft").arg(rule), rule)
}

fn run(program: &str, arguments: &str) -> Result<()> {
    ended_well(Command::new(program).args(arguments.split(' ')), arguments)
}

fn ended_well(command: &mut Command, what: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("there is no {name}"))?;
    ensure!(output.status.success(), "{name} {what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
