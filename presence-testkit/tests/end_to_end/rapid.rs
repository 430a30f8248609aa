//! Rapid connects and disconnects, in hundreds of seeded interleavings.

use anyhow::{Context, Result};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::random::Random;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

const ROUNDS: u64 = 300;
const TABS: usize = 3;

/// P1, P2, P3: whatever the tabs of a user do, joins and leaves alternate for who watches, and all agree in the end.
async fn joins_and_leaves_alternate_in_any_interleaving(kind: Kind) -> Result<()> {
    // Graces so short that they end within a round, some of the time.
    let config = Config {
        grace_ms: 20,
        going_away_grace_ms: 5,
        tick_ms: 3,
        user_messages_burst: 100_000,
        user_joins_burst: 100_000,
        ..quick()
    };
    let server = TestServer::start(config)?;
    let mut watcher = server.enter(kind, "watcher", "w", "doc").await?;
    for seed in 0..ROUNDS {
        round(&server, kind, seed, &mut watcher).await.with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

async fn round(server: &TestServer, kind: Kind, seed: u64, watcher: &mut Client) -> Result<()> {
    let mut random = Random::new(seed);
    let mut tabs: [Option<Client>; TABS] = [const { None }; TABS];
    for _ in 0..random.below(12) + 4 {
        let tab = random.below(TABS);
        let who = Credentials::new("bob", &format!("tab-{tab}"));
        match (tabs[tab].take(), random.below(5)) {
            (None, _) => {
                let mut client = Client::connect(kind, server.address, &who).await?;
                client.send(&json!({"type": "presence:join", "room": "doc"})).await?;
                tabs[tab] = Some(client);
            }
            (Some(old), 0) => {
                // Back before the old connection is known to be gone.
                let mut client = Client::connect(kind, server.address, &who).await?;
                client.send(&json!({"type": "presence:join", "room": "doc"})).await?;
                drop(old);
                tabs[tab] = Some(client);
            }
            (Some(client), 1) => client.reset(),
            (Some(client), 2) => client.close(1001).await?,
            (Some(client), 3) => client.close(1000).await?,
            (Some(mut client), _) => {
                client.send(&json!({"type": "presence:leave", "room": "doc"})).await?;
                client.send(&json!({"type": "presence:join", "room": "doc"})).await?;
                tabs[tab] = Some(client);
            }
        }
    }
    // The view of each client checks alternation, versions and digests; in the end all say the same.
    let left = tabs.iter().flatten().count();
    watcher.until("doc", "as many sessions as tabs", |view| sessions(view) == left).await?;
    for client in tabs.iter_mut().flatten() {
        client.until("doc", "as many sessions as tabs", |view| sessions(view) == left).await?;
        client.settle("doc").await?;
    }
    server.agrees_with(watcher, "doc").await?;
    for client in tabs.into_iter().flatten() {
        client.close(1000).await?;
    }
    watcher.until("doc", "no tab is left", |view| sessions(view) == 0).await
}

fn sessions(view: &presence_testkit::view::View) -> usize {
    view.users().get("bob").map_or(0, |bob| bob.connection_count)
}

on_every_kind! { joins_and_leaves_alternate_in_any_interleaving }
