//! A user has connected: what waits for them is found out beside everything else, so that nobody waits for the store.

use std::sync::Weak;
use std::time::Duration;

use presence_core::id::{Generation, RoomId, UserId};
use presence_core::port::store::{Standing, StoreError};
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
    let mut standings = streams.store().standings(user).await?;
    let rosters = rosters_of(streams, user, &standings).await?;
    // Where they stand is read once the hubs know that they listen: what is said after that comes to them anyway.
    for room in &rosters {
        let joins = Inbound::JoinsRoster { generation, room: room.clone() };
        let _ = streams.hub_of(room).send(joins).await;
        streams.listeners(room, user).await;
    }
    if !rosters.is_empty() {
        standings = streams.store().standings(user).await?;
    }
    for (room, standing) in standings {
        let on = room.inbox_of().is_some() || rosters.contains(&room);
        let roster = if on { Roster::On } else { Roster::Off };
        let stands = Inbound::Stands { generation, room: room.clone(), standing, roster };
        let _ = streams.hub_of(&room).send(stands).await;
    }
    for room in &rosters {
        // Who was taken off meanwhile was not known to be on it by those who were told.
        if !streams.store().is_member(room, user).await? {
            streams.left_roster(room, user).await;
        }
    }
    Ok(())
}

async fn rosters_of(
    streams: &Streams,
    user: &UserId,
    standings: &[(RoomId, Standing)],
) -> Result<Vec<RoomId>, StoreError> {
    let mut rosters = Vec::new();
    for (room, _) in standings {
        if room.inbox_of().is_none() && streams.store().is_member(room, user).await? {
            rosters.push(room.clone());
        }
    }
    Ok(rosters)
}
