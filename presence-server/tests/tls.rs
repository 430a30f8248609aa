//! The real process with TLS: SIGHUP, which ends a server without it, and the commands that ask about one.
#![cfg(feature = "tls")]

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::get;
use presence_testkit::server_process::ServerProcess;
use presence_testkit::tls::{Certificate, CertificateFiles, Tunnel, connect};

/// How long the new certificate may take to be used.
const PATIENCE: Duration = Duration::from_secs(20);

const BINARY: &str = env!("CARGO_BIN_EXE_presence-server");

fn start(scheme: &str, flags: &[&str]) -> Result<ServerProcess> {
    let mut command = Command::new(BINARY);
    command.args(["--listen", "127.0.0.1:0", "--log-level", "error"]).args(flags);
    let process = ServerProcess::spawn(&mut command)?;
    ensure!(process.scheme == scheme, "it says {}", process.scheme);
    Ok(process)
}

#[tokio::test]
async fn a_hang_up_brings_the_new_certificate_and_ends_nobody() -> Result<()> {
    let (certificate, next) = (Certificate::new()?, Certificate::new()?);
    let files = CertificateFiles::of(&certificate)?;
    let (cert, key) = (files.cert().display().to_string(), files.key().display().to_string());
    let process = start("https", &["--tls-cert-file", &cert, "--tls-key-file", &key])?;
    let tunnel = Tunnel::to(process.address, certificate.trusted()?).await?;
    let mut ann = Client::enter(Kind::Ws, tunnel.address(), &Credentials::new("ann", "a"), "doc").await?;

    files.replace(&next)?;
    process.signal("HUP")?;
    let believes = next.trusted()?;
    let taken_up = async { while connect(process.address, believes.clone()).await.is_err() {} };
    tokio::time::timeout(PATIENCE, taken_up).await.context("the new certificate is not used")?;

    std::fs::write(files.key(), "no key")?;
    process.signal("HUP")?;
    let tunnel = Tunnel::to(process.address, believes).await?;
    let refused = "presence_tls_certificate_reloads_total{outcome=\"failed\"} 1";
    let counted = async {
        while !get(tunnel.address(), "/metrics", &[]).await?.body.contains(refused) {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, counted).await.context("nothing was read again")??;
    ann.settle("doc").await?;
    Ok(())
}

/// Whether hang-ups are ignored by whoever has started the tests, as `nohup` has it; what they start inherits that.
fn hang_ups_are_ignored() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    Ok(u64::from_str_radix(ignored.unwrap_or("0").trim(), 16)? & 1 == 1)
}

#[tokio::test]
async fn without_tls_a_hang_up_is_what_it_is_to_any_program() -> Result<()> {
    if hang_ups_are_ignored()? {
        eprintln!("not tried: hang-ups are ignored here");
        return Ok(());
    }
    let process = start("http", &[])?;
    process.signal("HUP")?;
    let ended = process.ended().await?;
    ensure!(ended.code().is_none(), "it went on, or ended in another way: {ended}");
    Ok(())
}

#[test]
fn its_health_and_its_files_can_be_asked_for() -> Result<()> {
    let files = CertificateFiles::of(&Certificate::new()?)?;
    let (cert, key) = (files.cert().display().to_string(), files.key().display().to_string());
    let tls = ["--tls-cert-file", &cert, "--tls-key-file", &key];
    let process = start("https", &tls)?;
    let address = process.address.to_string();
    let ask = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let output = Command::new(BINARY).args(arguments).args(["--listen", &address]).args(tls).output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    let (code, said) = ask(&["healthcheck"])?;
    ensure!(code == Some(0), "{code:?}: {said}");
    let (code, said) = ask(&["config", "check"])?;
    ensure!(code == Some(0), "{code:?}: {said}");
    std::fs::write(files.key(), &Certificate::new()?.key_pem)?;
    let (code, said) = ask(&["config", "check"])?;
    ensure!(code == Some(64) && said.contains("`tls_key_file`"), "{code:?}: {said}");
    Ok(())
}
