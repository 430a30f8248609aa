//! A user has connected: what waits for them is found out beside everything else, so that nobody waits for the store.

use std::sync::Weak;
use std::time::Duration;

use presence_core::id::{Generation, UserId};
use presence_core::port::store::StoreError;
use tracing::debug;

use super::{Inbound, Roster, Streams};
use crate::connection::mailbox::Mailbox;

/// How long a store that can not be read is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the hubs where the user stands in every stream that they receive; tries as long as the connection lives.
pub(super) async fn arrive(streams: Streams, user: UserId, generation: Generation, mailbox: Weak<Mailbox>) {
    while mailbox.strong_count() > 0 {
        match tell(&streams, &user, generation).await {
            Ok(()) => return,
            Err(error) => debug!(%user, %error, "cannot read what waits"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn tell(streams: &Streams, user: &UserId, generation: Generation) -> Result<(), StoreError> {
    for (room, standing) in streams.store().standings(user).await? {
        let on = room.inbox_of().is_some() || streams.store().is_member(&room, user).await?;
        let roster = if on { Roster::On } else { Roster::Off };
        let stands = Inbound::Stands { generation, room: room.clone(), standing, roster };
        let _ = streams.hub_of(&room).send(stands).await;
    }
    Ok(())
}
