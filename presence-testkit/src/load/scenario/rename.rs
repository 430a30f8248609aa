//! `rename`: somebody who shares rooms with many takes another name, again and again. Every one of them is to hear of each
//! name once, in the room and beside it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use super::Field;
use crate::client::{Client, Credentials};
use crate::http;
use crate::load::ledger::{Latencies, curve, latencies};
use crate::load::outcome::Outcome;
use crate::wire::ServerMessage;

/// How long the last of them may take to hear of a name.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who takes names.
const RENAMED: &str = "renamed";

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Rename {
    /// Rooms that the one who is renamed shares.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Others in each.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Names.
    #[arg(long, default_value_t = 20)]
    names: usize,
}

/// What all who listen share.
struct Heard {
    profile: Latencies,
    room: Latencies,
    /// When the last name was taken, in microseconds of the clock.
    since: u64,
    profiles: usize,
    rooms: usize,
}

type Listening = JoinSet<Result<()>>;

impl Rename {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run, or somebody does not hear of a name.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { rooms, members, names } = self;
        ensure!(rooms > 0 && members > 0 && names > 0, "there must be rooms, members and names");
        let parameters = format!("one user in {rooms} rooms with {members} others each, {names} names");
        let mut outcome = Outcome { scenario: "rename".to_owned(), parameters, ..Outcome::default() };
        let heard = Rc::new(RefCell::new(Heard {
            profile: latencies(),
            room: latencies(),
            since: 0,
            profiles: 0,
            rooms: 0,
        }));
        let mut listening = Listening::new();
        let own = self.enter_self(&field).await?;
        let own = tokio::task::spawn_local(drain(own));
        for number in 0..rooms * members {
            let who = Credentials::new(&format!("neighbour-{number}"), "s");
            let room = room(number % rooms);
            let client = Client::enter(field.kind, field.target.address, &who, &room).await?;
            listening.spawn_local(listen(client, field.clone(), Rc::clone(&heard)));
        }
        let cpu = field.target.cpu_micros()?;
        for number in 0..names {
            field.pass("taking names", 0.5).await;
            {
                let mut heard = heard.borrow_mut();
                (heard.since, heard.profiles, heard.rooms) = (field.clock.micros(), 0, 0);
            }
            take_name(&field, &format!("name {number}")).await?;
            until_all_heard(&heard, rooms * members).await?;
        }
        let cpu = field.target.cpu_micros()? - cpu;
        // A moment for what must not come.
        field.pass("settling", 0.5).await;
        while let Some(ended) = listening.try_join_next() {
            ended?.context("somebody stopped listening")?;
        }
        let heard = heard.borrow();
        outcome.faults.repeated += (heard.profiles + heard.rooms).saturating_sub(2 * rooms * members) as u64;
        outcome.figure("heard of each name", (rooms * members) as f64, "users");
        outcome.figure("server CPU per name", cpu / names as f64 / 1000.0, "ms");
        outcome.latency.push(curve("request to profile", &heard.profile));
        outcome.latency.push(curve("request to roster", &heard.room));
        own.abort();
        Ok(outcome)
    }

    async fn enter_self(&self, field: &Field) -> Result<Client> {
        let who = Credentials::new(RENAMED, "s");
        let mut client = Client::connect(field.kind, field.target.address, &who).await?;
        for number in 0..self.rooms {
            client.join(&room(number)).await?;
        }
        Ok(client)
    }
}

fn room(number: usize) -> String {
    format!("shared-{number}")
}

/// Reads on, so that it is no slow reader.
async fn drain(mut client: Client) -> Result<()> {
    loop {
        client.next().await?;
    }
}

async fn listen(mut client: Client, field: Field, heard: Rc<RefCell<Heard>>) -> Result<()> {
    loop {
        let message = client.next().await?;
        let mut heard = heard.borrow_mut();
        let took = field.clock.micros().saturating_sub(heard.since).max(1);
        match message {
            ServerMessage::UserProfileUpdated(updated) if updated.user_id == RENAMED => {
                heard.profile.saturating_record(took);
                heard.profiles += 1;
            }
            ServerMessage::UserUpdated(updated) if updated.user_id == RENAMED => {
                heard.room.saturating_record(took);
                heard.rooms += 1;
            }
            _ => {}
        }
    }
}

async fn take_name(field: &Field, name: &str) -> Result<()> {
    let path = format!("/v1/users/{RENAMED}/username?user_id={RENAMED}");
    let answer = http::send_json(field.target.address, "PUT", &path, &json!({"username": name})).await?;
    ensure!(answer.status == 200, "no new name: {} {}", answer.status, answer.body);
    Ok(())
}

async fn until_all_heard(heard: &RefCell<Heard>, all: usize) -> Result<()> {
    let waiting = async {
        while heard.borrow().profiles < all || heard.borrow().rooms < all {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.with_context(|| {
        let heard = heard.borrow();
        format!("{} and {} of {all} have heard of the name", heard.profiles, heard.rooms)
    })
}
