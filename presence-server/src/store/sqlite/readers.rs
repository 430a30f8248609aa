//! The threads that read, beside the one that writes. Each has a connection of its own and sees what has been committed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use presence_core::port::store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tracing::error;

use super::fault::Fault;
use super::file;
use super::writer::{Shared, Writer};

/// Threads that read. Most reads are small and find their pages in memory.
const READERS: usize = 2;

type Question = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Option<rusqlite::Error> + Send>;

/// The way to the reading threads.
#[derive(Debug)]
pub(super) struct Readers {
    questions: Sender<Question>,
    waiting: Arc<AtomicUsize>,
    queue_max: usize,
    shared: Arc<Shared>,
}

impl Readers {
    pub(super) fn start(
        path: &Path,
        queue_max: usize,
        shared: &Arc<Shared>,
        writer: &Arc<Writer>,
    ) -> std::io::Result<Self> {
        let (questions, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let waiting = Arc::new(AtomicUsize::new(0));
        for number in 0..READERS {
            let reader = Reader {
                path: path.to_owned(),
                inbox: Arc::clone(&inbox),
                waiting: Arc::clone(&waiting),
                shared: Arc::clone(shared),
                writer: Arc::downgrade(writer),
                open: None,
            };
            std::thread::Builder::new().name(format!("store-reader-{number}")).spawn(move || reader.run())?;
        }
        Ok(Self { questions, waiting, queue_max, shared: Arc::clone(shared) })
    }

    pub(super) async fn ask<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |db| {
            let outcome = db.map(|db| snapshot(db, read));
            let (outcome, failed) = match outcome {
                Ok(Ok(found)) => (Ok(found), None),
                Ok(Err(error)) => (Err(Fault::of(&error).unavailable()), Some(error)),
                Err(unavailable) => (Err(unavailable), None),
            };
            // The caller may have gone away.
            let _ = reply.send(outcome);
            failed
        });
        match self.questions.send(question) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.shared.unavailable())),
            Err(_) => Err(self.shared.unavailable()),
        }
    }
}

/// Reads everything as it is at one moment.
fn snapshot<T>(
    db: &Connection,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = db.unchecked_transaction()?;
    let found = read(&transaction)?;
    transaction.finish()?;
    Ok(found)
}

struct Reader {
    path: PathBuf,
    inbox: Arc<Mutex<Receiver<Question>>>,
    waiting: Arc<AtomicUsize>,
    shared: Arc<Shared>,
    writer: std::sync::Weak<Writer>,
    /// The connection, and which opening of the file it belongs to.
    open: Option<(u64, Connection)>,
}

impl Reader {
    fn run(mut self) {
        loop {
            let next = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(question) = next else { return };
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let Some(failed) = question(self.connection()) else { continue };
            error!(error = %failed, "the store can not be read");
            self.open = None;
            if let (Fault::Damaged, Some(writer)) = (Fault::of(&failed), self.writer.upgrade()) {
                writer.suspect(failed);
            }
        }
    }

    /// A connection to the file as it was opened last.
    fn connection(&mut self) -> Result<&Connection, StoreError> {
        let opened = self.shared.opened();
        if opened == 0 {
            return Err(self.shared.unavailable());
        }
        if self.open.as_ref().is_none_or(|(of, _)| *of != opened) {
            self.open = None;
            let db = file::open_to_read(&self.path).map_err(|error| error.fault().unavailable())?;
            self.open = Some((opened, db));
        }
        self.open.as_ref().map(|(_, db)| db).ok_or_else(|| self.shared.unavailable())
    }
}
