//! What a tab does: what people do in rooms, and what is needed to lose nothing of it.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::history::{Event, Letter};
use super::seat::{Open, body, letter_name, room_name};
use super::tab::{Gone, SENDING, Tab};
use crate::client::Wire;

impl Tab {
    /// Asks for what was said meanwhile, and sends again whatever is not known to be safe.
    pub(super) async fn catch_up(&mut self, wire: &mut Wire) -> Result<(), Gone> {
        let (sync, again) = {
            let mut seat = self.seat.borrow_mut();
            let cursors: serde_json::Map<String, Value> = seat
                .rooms
                .iter()
                .map(|room| (room_name(*room), seat.place(*room).into()))
                .filter(|(_, place)| *place != json!(0))
                .collect();
            let tab = seat.tab;
            seat.open.values_mut().for_each(|open| open.sent += 1);
            let again: Vec<Value> = seat
                .open
                .iter()
                .map(|(number, open)| message(Letter { tab, number: *number }, open.room))
                .collect();
            (json!({"type": "sync", "cursors": cursors}), again)
        };
        if sync["cursors"].as_object().is_some_and(|cursors| !cursors.is_empty()) {
            self.seat.borrow_mut().held.get_or_insert_default();
            self.asked = Instant::now();
            self.send(wire, &sync).await?;
        }
        for message in again {
            self.send(wire, &message).await?;
        }
        Ok(())
    }

    /// One of the things that people do.
    pub(super) async fn act(&mut self, wire: &mut Wire) -> Result<(), Gone> {
        let rooms = self.seat.borrow().rooms.clone();
        let room = rooms[self.random.below(rooms.len())];
        let name = room_name(room);
        let message = match self.random.below(20) {
            0..8 => {
                let mut seat = self.seat.borrow_mut();
                seat.state += 1;
                json!({"type": "presence:update", "room": name, "state": {"n": seat.state}})
            }
            8..12 => {
                let (x, y) = (self.random.below(1_000), self.random.below(1_000));
                json!({"type": "presence:cursor", "room": name, "cursor": {"x": x, "y": y}})
            }
            12 => json!({"type": "presence:typing", "room": name, "typing": true}),
            13 => self.question(room),
            _ => {
                let letter = {
                    let mut seat = self.seat.borrow_mut();
                    seat.said += 1;
                    let letter = Letter { tab: seat.tab, number: seat.said };
                    seat.open.insert(letter.number, Open { room, sent: 1 });
                    seat.note(Event::Said { letter, room });
                    letter
                };
                message(letter, room)
            }
        };
        self.send(wire, &message).await?;
        // What was posted may never have come.
        if self.seat.borrow().held.is_some() && self.asked.elapsed() > SENDING {
            self.catch_up(wire).await?;
        }
        // A state is of the session, in every room it is in.
        if message["type"] == "presence:update" {
            for other in rooms.into_iter().filter(|other| *other != room) {
                let mut update = message.clone();
                update["room"] = room_name(other).into();
                self.send(wire, &update).await?;
            }
        }
        self.acknowledge(wire, room).await
    }

    fn question(&self, room: u32) -> Value {
        let seat = self.seat.borrow();
        let view = seat.views.get(&room);
        let (epoch, version) = (view.and_then(|view| view.epoch()), view.and_then(|view| view.version()));
        let digest = view.map(|view| view.digest());
        json!({
            "type": "presence:sync", "room": room_name(room), "epoch": epoch, "version": version, "digest": digest,
        })
    }

    async fn acknowledge(&mut self, wire: &mut Wire, room: u32) -> Result<(), Gone> {
        let place = self.seat.borrow_mut().place_to_tell(room);
        match place {
            None => Ok(()),
            Some(place) => {
                let ack = json!({"type": "ack", "room": room_name(room), "seq": place});
                self.send(wire, &ack).await
            }
        }
    }

    /// Finishes what was begun.
    pub(super) async fn finish(&mut self, wire: &mut Wire) -> Result<(), Gone> {
        let rooms = self.seat.borrow().rooms.clone();
        let behind = {
            let (seat, heads) = (self.seat.borrow(), self.around.heads.borrow());
            let head = |room: &u32| heads.get(room).copied().unwrap_or(0);
            seat.resident && rooms.iter().any(|room| seat.place(*room) < head(room))
        };
        if behind || !self.seat.borrow().is_settled() {
            self.catch_up(wire).await?;
        }
        for room in rooms {
            let update = {
                let seat = self.seat.borrow();
                let said = seat.own_state(room);
                // What was posted while nothing got through may never have come.
                (said != Some(seat.state)).then(|| {
                    json!({"type": "presence:update", "room": room_name(room), "state": {"n": seat.state}})
                })
            };
            if let Some(update) = update {
                self.send(wire, &update).await?;
            }
            let question = self.question(room);
            self.send(wire, &question).await?;
            self.acknowledge(wire, room).await?;
        }
        Ok(())
    }
}

fn message(letter: Letter, room: u32) -> Value {
    let id = letter_name(letter);
    json!({"type": "message", "room": room_name(room), "id": id, "data": body(letter), "ref": id})
}
