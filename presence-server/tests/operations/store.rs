//! The store as those see it who run the server: checked, copied, broken, and of another version.

use std::fs;

use anyhow::{Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::folder::Folder;
use presence_testkit::http::get;

use crate::process::{PATIENCE, Process, run};

const FILE: &str = "presence.db";

/// Where a version is in a file (<https://www.sqlite.org/fileformat2.html#user_version_number>).
const VERSION_AT: std::ops::Range<usize> = 60..64;

fn path(folder: &Folder, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn a_store_is_checked_and_copied_while_the_server_runs_and_after() -> Result<()> {
    let folder = Folder::made()?;
    let (data_dir, copy) = (path(&folder, "data"), path(&folder, "copy.db"));
    let nothing = run(&["store", "check", "--data-dir", &data_dir])?;
    ensure!(nothing.status.code() == Some(1), "{nothing:?}");
    let mut server = Process::start(&["--data-dir", &data_dir], &[])?;
    for runs in [true, false] {
        let checked = run(&["store", "check", "--data-dir", &data_dir])?;
        let said = String::from_utf8_lossy(&checked.stdout);
        ensure!(checked.status.success() && said.ends_with("is whole.\n"), "{checked:?}");
        let copied = run(&["backup", &copy, "--data-dir", &data_dir])?;
        ensure!(copied.status.success(), "{copied:?}");
        let again = run(&["backup", &copy, "--data-dir", &data_dir])?;
        let said = String::from_utf8_lossy(&again.stderr);
        ensure!(again.status.code() == Some(1) && said.contains("there already"), "{again:?}");
        fs::remove_file(&copy)?;
        if runs {
            server.stop()?;
        }
    }
    let memory = run(&["backup", &copy])?;
    let said = String::from_utf8_lossy(&memory.stderr);
    ensure!(memory.status.code() == Some(1) && said.contains("`data_dir`"), "{memory:?}");
    Ok(())
}

/// F10: what can not be kept is refused, and the rest goes on.
#[tokio::test]
async fn a_broken_store_is_said_to_be_broken_and_presence_goes_on() -> Result<()> {
    let folder = Folder::made()?;
    let garbage = "somebody may want to have this back. ".repeat(1_000);
    let broken = folder.write(FILE, &garbage)?;
    let data_dir = folder.path().to_str().unwrap();
    let mut server = Process::start(&["--data-dir", data_dir], &[])?;
    let ready = get(server.address, "/readyz", &[]).await?;
    let said = &ready.body;
    ensure!(ready.status == 503 && said.contains("store is failing") && !said.contains(data_dir), "{said}");
    let metrics = get(server.address, "/metrics", &[]).await?;
    ensure!(metrics.body.contains("\npresence_store_well 0\n"));
    let alive = get(server.address, "/healthz", &[]).await?;
    ensure!(alive.status == 200, "a broken store is no reason to restart the server");
    let mut ann = Client::enter(kind(), server.address, &Credentials::new("ann", "a"), "doc").await?;
    let bob = Client::enter(kind(), server.address, &Credentials::new("bob", "b"), "doc").await?;
    ann.until("doc", "bob is seen", |view| view.version().is_some() && view.users().len() == 2).await?;
    drop(bob);
    ensure!(fs::read_to_string(&broken)? == garbage, "it was written to");
    fs::rename(&broken, folder.path().join("broken"))?;
    let recovered = async {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(50));
        while get(server.address, "/readyz", &[]).await?.status != 200 {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, recovered).await??;
    server.stop()?;
    let checked = run(&["store", "check", "--data-dir", data_dir])?;
    ensure!(checked.status.success(), "{checked:?}");
    Ok(())
}

fn kind() -> Kind {
    if cfg!(feature = "ws") { Kind::Ws } else { Kind::Sse }
}

#[test]
fn a_store_of_a_later_version_keeps_the_server_from_starting() -> Result<()> {
    let folder = Folder::made()?;
    let data_dir = folder.path().to_str().unwrap();
    Process::start(&["--data-dir", data_dir], &[])?.stop()?;
    let file = folder.path().join(FILE);
    let mut bytes = fs::read(&file)?;
    bytes[VERSION_AT].copy_from_slice(&1_000_u32.to_be_bytes());
    fs::write(&file, &bytes)?;
    let output = run(&["--listen", "127.0.0.1:0", "--data-dir", data_dir])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(73) && said.contains("version 1000"), "{output:?}");
    ensure!(fs::read(&file)? == bytes, "it was written to");
    Ok(())
}
