//! One client that watches a window of a large room. Ten thousand of them share one process, so what many receive is read
//! once: who gets the same bytes as somebody before has seen the same window.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::lean::{Lean, Name, framed, number_after};
use crate::window::WindowView;
use crate::wire::{RoomPresence, ServerMessage, WindowShown};

/// What begins a window.
const WINDOW: &[u8] = b"{\"type\":\"presence:window\"";

/// So much of a message has version and place of a window, and tells a reader what else it is.
const HEAD_BYTES: usize = 192;

/// Texts that are kept to be compared with; then it begins anew.
const TEXTS_MAX: usize = 4_096;

/// What all clients have been shown.
#[derive(Debug, Default)]
pub struct Gallery {
    /// By the version and the first row that they name.
    texts: HashMap<(u64, u64), Vec<Known>>,
    kept: usize,
    /// Each window once, in the order in which it was first seen, while they are collected.
    collected: Option<Vec<Rc<WindowShown>>>,
    /// How many windows were received, and their bytes.
    pub received: u64,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Debug)]
struct Known {
    text: Box<[u8]>,
    shown: Rc<WindowShown>,
}

/// Shared by the clients of one thread.
pub type SharedGallery = Rc<RefCell<Gallery>>;

impl Gallery {
    /// From now on keeps each window that somebody is shown.
    pub fn collect(&mut self) {
        self.collected = Some(Vec::new());
    }

    /// What has been kept since then.
    pub fn take_collected(&mut self) -> Vec<Rc<WindowShown>> {
        self.collected.take().unwrap_or_default()
    }

    /// The window that a text is; `None` if it is something else.
    fn look(&mut self, text: &[u8]) -> Result<Option<Rc<WindowShown>>> {
        let head = &text[..text.len().min(HEAD_BYTES)];
        let place = text.starts_with(WINDOW).then(|| {
            let number = |key: &[u8]| number_after(head, key).unwrap_or(u64::MAX);
            (number(b"\"version\":"), number(b"\"from\":"))
        });
        let alike = place.and_then(|place| self.texts.get(&place));
        if let Some(known) = alike.into_iter().flatten().find(|known| *known.text == *text) {
            let shown = Rc::clone(&known.shown);
            self.note(text.len());
            return Ok(Some(shown));
        }
        let message = std::str::from_utf8(text).context("a text that is no text").and_then(|text| {
            ServerMessage::parse(text).with_context(|| String::from_utf8_lossy(head).into_owned())
        });
        let shown = match message? {
            ServerMessage::Window(shown) => Rc::new(shown),
            ServerMessage::Error(refusal) => bail!("{} {}", refusal.code, refusal.message),
            _ => return Ok(None),
        };
        self.note(text.len());
        // An answer to one is seen by nobody else.
        if let Some(place) = place.filter(|_| shown.reference.is_none()) {
            if self.kept >= TEXTS_MAX {
                self.texts.clear();
                self.kept = 0;
            }
            self.kept += 1;
            let known = Known { text: text.into(), shown: Rc::clone(&shown) };
            self.texts.entry(place).or_default().push(known);
            if let Some(collected) = &mut self.collected {
                collected.push(Rc::clone(&shown));
            }
        }
        Ok(Some(shown))
    }

    fn note(&mut self, bytes: usize) {
        self.received += 1;
        self.bytes += bytes as u64;
    }
}

/// A client over WebSocket that watches a window whenever it is in the room.
#[derive(Debug)]
pub struct Watcher {
    wire: Lean,
    from: usize,
    count: usize,
    gallery: SharedGallery,
    /// Came with what was asked for last.
    coming: VecDeque<Rc<WindowShown>>,
    rows: Option<Rc<WindowShown>>,
    latest: Option<Rc<WindowShown>>,
}

impl Watcher {
    /// Connects, and enters no room yet.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn connect(
        server: SocketAddr,
        user: String,
        room: &str,
        (from, count): (usize, usize),
        gallery: &SharedGallery,
    ) -> Result<Self> {
        let wire = Lean::connect(server, Name { user, room: room.to_owned(), token: None }).await?;
        let (gallery, coming) = (Rc::clone(gallery), VecDeque::new());
        Ok(Self { wire, from, count, gallery, coming, rows: None, latest: None })
    }

    /// Its user.
    pub fn user(&self) -> &str {
        &self.wire.name.user
    }

    /// Asks to enter the room with its window.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn join(&self, reference: u64) -> Result<()> {
        let window = json!({"from": self.from, "count": self.count});
        let room = &self.wire.name.room;
        self.say(&json!({"type": "presence:join", "room": room, "window": window, "ref": reference}))
    }

    /// Leaves the room.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn leave(&self) -> Result<()> {
        self.say(&json!({"type": "presence:leave", "room": self.wire.name.room}))
    }

    fn say(&self, message: &Value) -> Result<()> {
        let said = self.wire.voice().say(&framed(&message.to_string()));
        said.with_context(|| self.user().to_owned())
    }

    /// The next window that it is shown. Cancel-safe.
    ///
    /// # Errors
    /// If the connection is gone, or something is refused.
    pub async fn shown(&mut self) -> Result<Rc<WindowShown>> {
        loop {
            if let Some(shown) = self.coming.pop_front() {
                if shown.users.is_some() {
                    self.rows = Some(Rc::clone(&shown));
                }
                self.latest = Some(Rc::clone(&shown));
                return Ok(shown);
            }
            let (gallery, coming) = (&self.gallery, &mut self.coming);
            let mut looked = Ok(());
            let received = self.wire.receive(|text| match gallery.borrow_mut().look(text) {
                Ok(shown) => coming.extend(shown),
                Err(error) => looked = Err(error),
            });
            received.await?;
            looked.with_context(|| self.user().to_owned())?;
        }
    }

    /// Whether this window answers its join.
    pub fn is_answer(shown: &WindowShown, reference: u64) -> bool {
        shown.reference.as_ref().and_then(Value::as_u64) == Some(reference)
    }

    /// What it sees that the server does not say; `None` if nothing is.
    pub fn difference(&self, truth: &RoomPresence) -> Option<String> {
        let mut view = WindowView::default();
        let latest = self.latest.iter().filter(|latest| latest.users.is_none());
        for shown in self.rows.iter().chain(latest) {
            if let Err(violation) = view.apply(shown) {
                return Some(violation.to_string());
            }
        }
        view.difference(truth)
    }
}
