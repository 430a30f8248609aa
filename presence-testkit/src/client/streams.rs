//! What a client does with streams: sends, acknowledges, asks what it does not have.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Client, PATIENCE};
use crate::inbox::Inbox;
use crate::wire::{Ack, ServerMessage, SyncResult};

impl Client {
    /// What it has of streams.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// The acks that have come since this was last asked.
    pub fn take_acks(&mut self) -> Vec<Ack> {
        std::mem::take(&mut self.acks)
    }

    /// What has come to a stream since this was last asked.
    pub fn take_fresh(&mut self, room: &str) -> Vec<Value> {
        self.inbox.fresh(room).iter().map(|created| created.snapshot.clone()).collect()
    }

    /// Sends something to a stream without waiting for an answer. Gives its id.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn say(&mut self, room: &str, data: &Value) -> Result<String> {
        self.sent += 1;
        let id = format!("{}-{}", self.name, self.sent);
        self.send(&json!({"type": "message", "room": room, "id": id, "data": data, "ref": id})).await?;
        Ok(id)
    }

    /// Sends something to a stream and waits until it is safe.
    ///
    /// # Errors
    /// If the server does not keep it.
    pub async fn send_message(&mut self, room: &str, data: &Value) -> Result<Ack> {
        let id = self.say(room, data).await?;
        self.acked(&id).await
    }

    /// Waits until a message is safe.
    ///
    /// # Errors
    /// If the server does not keep it.
    pub async fn acked(&mut self, id: &str) -> Result<Ack> {
        let about = |reference: &Option<Value>| reference.as_ref().is_some_and(|reference| reference == id);
        let answer = self
            .wait_for("an ack", |message| match message {
                ServerMessage::Ack(ack) => ack.id == id,
                ServerMessage::Error(refusal) => about(&refusal.reference),
                _ => false,
            })
            .await?;
        match answer {
            ServerMessage::Ack(ack) => Ok(ack),
            other => bail!("{id} was not kept: {other:?}"),
        }
    }

    /// Says that everything of a stream that it has is dealt with.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn ack(&mut self, room: &str) -> Result<()> {
        let seq = self.inbox.stream(room).place;
        self.send(&json!({"type": "ack", "room": room, "seq": seq})).await
    }

    /// Receives until a stream has been applied up to a place.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub async fn until_place(&mut self, room: &str, place: u64) -> Result<()> {
        let search = async {
            while self.inbox.stream(room).place < place {
                self.next().await?;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found.with_context(|| format!("{room} did not get to {place}")),
            Err(_) => Err(self.failure(&format!("{room} did not get to {place} in time"))),
        }
    }

    /// Asks for one page of what it does not have.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn sync(&mut self, request: Value) -> Result<SyncResult> {
        let mut message = json!({"type": "sync", "ref": "sync"});
        if let (Some(message), Value::Object(request)) = (message.as_object_mut(), request) {
            message.extend(request);
        }
        self.send(&message).await?;
        let answer = self
            .wait_for("a sync's answer", |message| match message {
                ServerMessage::SyncResult(_) => true,
                ServerMessage::Error(refusal) => refusal.reference == Some(json!("sync")),
                _ => false,
            })
            .await?;
        match answer {
            ServerMessage::SyncResult(result) => Ok(result),
            other => bail!("no sync: {other:?}"),
        }
    }
}
