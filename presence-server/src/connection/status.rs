//! How a connection is: nobody keeps that for all of them; whoever wants to know asks, and each answers for itself.

use std::sync::Arc;
use std::time::Duration;

use presence_core::id::{ConnectionId, RoomId, SessionId, UserId};
use presence_core::session::Quality;
use presence_core::time::WallTime;
use tokio::sync::mpsc;

use super::mailbox::{Mailbox, Question};

/// How long connections have for their answers. One that is saying goodbye, or waits for a busy shard, may not have
/// one by then.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a connection says of itself.
#[derive(Clone, Debug)]
pub struct ConnectionStatus {
    /// Which connection.
    pub connection: ConnectionId,
    /// Its kind of transport.
    pub transport: &'static str,
    /// Whose it is, once that is known.
    pub user: Option<UserId>,
    /// Which session it has.
    pub session: Option<SessionId>,
    /// When it opened.
    pub since: WallTime,
    /// The last round-trip time.
    pub rtt: Option<Duration>,
    /// How good it is, once anything is known of that.
    pub quality: Option<Quality>,
    /// Rooms that it is in, and how many frames of each it has yet to read; `None` while a room prepares an answer.
    pub rooms: Vec<(RoomId, Option<u64>)>,
    /// Bytes that the peer has not taken yet.
    pub bytes_waiting: usize,
}

/// Where an answer goes.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<ConnectionStatus>);

impl Asker {
    pub(super) fn answer(self, status: ConnectionStatus) {
        // There is room for everyone's answer; whoever asked may have gone.
        let _ = self.0.try_send(status);
    }
}

/// Asks connections how they are, all at once. Gives the answers that come in time, in the order of connection ids.
pub async fn ask(mailboxes: Vec<Arc<Mailbox>>) -> Vec<ConnectionStatus> {
    let mut statuses = Vec::with_capacity(mailboxes.len());
    let (answer, mut answers) = mpsc::channel(mailboxes.len().max(1));
    for mailbox in mailboxes {
        mailbox.ask(Question::Status(Asker(answer.clone())));
    }
    drop(answer);
    let all = async {
        while let Some(status) = answers.recv().await {
            statuses.push(status);
        }
    };
    // Whoever has not answered by then is not in the list.
    let _ = tokio::time::timeout(PATIENCE, all).await;
    statuses.sort_by_key(|status| status.connection);
    statuses
}
