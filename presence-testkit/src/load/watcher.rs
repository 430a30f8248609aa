//! One client that watches a window of a large room. Ten thousand of them share one process, so what many receive is read
//! once: who gets the same bytes as somebody before has seen the same window.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::{Kind, Received, Wire};
use crate::window::WindowView;
use crate::wire::{RoomPresence, ServerMessage, WindowShown};

/// So much of a text tells it from most others.
const HEAD_BYTES: usize = 192;

/// Texts that are kept to be compared with; then it begins anew.
const TEXTS_MAX: usize = 4_096;

/// What all clients have been shown.
#[derive(Debug, Default)]
pub struct Gallery {
    texts: HashMap<Box<str>, Known>,
    /// Each window once, in the order in which it was first seen, while they are collected.
    collected: Option<Vec<Rc<WindowShown>>>,
    /// How many windows were received, and their bytes.
    pub received: u64,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Debug)]
struct Known {
    text: String,
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
    fn look(&mut self, text: String) -> Result<Option<Rc<WindowShown>>> {
        let head = text.char_indices().nth(HEAD_BYTES).map_or(text.as_str(), |(end, _)| &text[..end]);
        let known = self.texts.get(head).filter(|known| known.text == text);
        if let Some(shown) = known.map(|known| Rc::clone(&known.shown)) {
            self.note(text.len());
            return Ok(Some(shown));
        }
        let message = ServerMessage::parse(&text).with_context(|| head.to_owned())?;
        let shown = match message {
            ServerMessage::Window(shown) => Rc::new(shown),
            ServerMessage::Error(refusal) => bail!("{} {}", refusal.code, refusal.message),
            _ => return Ok(None),
        };
        self.note(text.len());
        // An answer to one is seen by nobody else.
        if shown.reference.is_none() {
            if self.texts.len() >= TEXTS_MAX {
                self.texts.clear();
            }
            let known = Known { text: text.clone(), shown: Rc::clone(&shown) };
            self.texts.insert(head.into(), known);
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

/// A client that watches a window whenever it is in the room.
#[derive(Debug)]
pub struct Watcher {
    /// Its user.
    pub user: String,
    room: String,
    from: usize,
    count: usize,
    wire: Wire,
    gallery: SharedGallery,
    rows: Option<Rc<WindowShown>>,
    latest: Option<Rc<WindowShown>>,
}

impl Watcher {
    /// Connects, and enters no room yet.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn connect(
        kind: Kind,
        server: SocketAddr,
        user: String,
        room: &str,
        (from, count): (usize, usize),
        gallery: &SharedGallery,
    ) -> Result<Self> {
        let query = format!("?user_id={user}&session_id=tab");
        let wire = Wire::connect(kind, server, &query, &[], None).await?;
        let (room, gallery) = (room.to_owned(), Rc::clone(gallery));
        Ok(Self { user, room, from, count, wire, gallery, rows: None, latest: None })
    }

    /// Asks to enter the room with its window.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn join(&mut self, reference: u64) -> Result<()> {
        let window = json!({"from": self.from, "count": self.count});
        let join = json!({"type": "presence:join", "room": self.room, "window": window, "ref": reference});
        self.wire.send_text(&join.to_string()).await
    }

    /// Leaves the room.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn leave(&mut self) -> Result<()> {
        let leave = json!({"type": "presence:leave", "room": self.room});
        self.wire.send_text(&leave.to_string()).await
    }

    /// The next window that it is shown.
    ///
    /// # Errors
    /// If the connection is gone, or something is refused.
    pub async fn shown(&mut self) -> Result<Rc<WindowShown>> {
        loop {
            let text = match self.wire.recv().await? {
                Received::Text(text) => text,
                Received::Closed(code) => bail!("{}: the server closed with {code:?}", self.user),
            };
            let looked = self.gallery.borrow_mut().look(text);
            let Some(shown) = looked.with_context(|| self.user.clone())? else { continue };
            if shown.users.is_some() {
                self.rows = Some(Rc::clone(&shown));
            }
            self.latest = Some(Rc::clone(&shown));
            return Ok(shown);
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
