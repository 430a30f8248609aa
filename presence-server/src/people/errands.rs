//! Reading profiles for connections that have opened, and telling everybody whom a change concerns. One task does both, one
//! errand after the other, and reads again before it tells: so what a connection hears last is what is kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use presence_core::frame::Frame;
use presence_core::id::UserId;
use presence_core::people::{Person, PersonPatch};
use presence_core::port::store::StoreError;
use presence_core::session::Delivery;
use presence_core::wire;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{debug, info, warn};

use super::{People, PeopleError};

/// Profiles that are read together.
const BATCH: usize = 256;

/// Changes that wait to be told; whoever makes one more waits.
const CHANGES_MAX: usize = 1_024;

/// How long after a read that failed the next one is tried.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Debug)]
pub(super) struct Errands {
    /// Whose profiles connections wait for; at most as many as are connected.
    wanted: Mutex<BTreeSet<UserId>>,
    come: Notify,
    changes: mpsc::Sender<Change>,
    /// Taken by whoever runs them.
    inbox: Mutex<Option<mpsc::Receiver<Change>>>,
}

/// A profile that has changed.
#[derive(Debug)]
struct Change {
    before: Option<Person>,
    after: Person,
    told: oneshot::Sender<()>,
}

impl Default for Errands {
    fn default() -> Self {
        let (changes, inbox) = mpsc::channel(CHANGES_MAX);
        Self { wanted: Mutex::default(), come: Notify::new(), changes, inbox: Mutex::new(Some(inbox)) }
    }
}

impl Errands {
    /// Somebody has connected.
    pub(super) fn read_profile(&self, user: &UserId) {
        self.wanted.lock().expect("nothing panics while it holds this").insert(user.clone());
        self.come.notify_one();
    }

    fn take_wanted(&self) -> Vec<UserId> {
        let mut wanted = self.wanted.lock().expect("nothing panics while it holds this");
        std::iter::from_fn(|| wanted.pop_first()).take(BATCH).collect()
    }

    fn take_inbox(&self) -> Option<mpsc::Receiver<Change>> {
        self.inbox.lock().expect("nothing panics while it holds this").take()
    }
}

impl People {
    /// For ever. May be called once.
    pub(super) async fn keep_running_errands(&self) {
        let Some(mut changes) = self.errands.take_inbox() else { return };
        loop {
            tokio::select! {
                // Who changes something waits for it.
                biased;
                change = changes.recv() => match change {
                    Some(change) => self.tell_change(change).await,
                    None => return,
                },
                () = self.errands.come.notified() => self.read_wanted().await,
            }
        }
    }

    async fn read_wanted(&self) {
        let users = self.errands.take_wanted();
        if users.is_empty() {
            return;
        }
        match self.store.people(&users).await {
            Ok(people) => {
                people.into_iter().filter(Person::has_chosen).for_each(|person| self.hand_over(person))
            }
            Err(error) => {
                warn!(%error, users = users.len(), "cannot read the profiles of users who have connected");
                users.iter().for_each(|user| self.errands.read_profile(user));
                tokio::time::sleep(RETRY).await;
            }
        }
        // There may be more than one batch.
        self.errands.come.notify_one();
    }

    /// Gives a user's connections what is kept of them.
    fn hand_over(&self, person: Person) {
        let person = Arc::new(person);
        for mailbox in self.mailboxes_of(&person.id) {
            mailbox.deliver(Delivery::Person(Arc::clone(&person)));
        }
    }

    /// Changes a person, and tells everybody whom that concerns. Whether or not the caller waits for it, it happens whole.
    ///
    /// # Errors
    /// If the store does not do it.
    pub async fn change(self: &Arc<Self>, user: UserId, patch: PersonPatch) -> Result<Person, PeopleError> {
        let people = Arc::clone(self);
        let whole = tokio::spawn(async move { people.change_whole(&user, patch).await });
        whole.await.unwrap_or_else(|_| Err(cut_short().into()))
    }

    async fn change_whole(&self, user: &UserId, patch: PersonPatch) -> Result<Person, PeopleError> {
        let before = self.store.people(std::slice::from_ref(user)).await?.pop();
        let after = self.store.change_person(user, patch, self.clock.now().wall).await?;
        let (told, heard) = oneshot::channel();
        let change = Change { before, after: after.clone(), told };
        if self.errands.changes.send(change).await.is_ok() {
            // The server may be going away.
            let _ = heard.await;
        }
        info!(user = %user, "profile changed");
        self.metrics.profile_changed();
        Ok(after)
    }

    async fn tell_change(&self, Change { before, after, told }: Change) {
        let read = self.store.people(std::slice::from_ref(&after.id)).await;
        let person = read.ok().and_then(|mut people| people.pop()).unwrap_or(after);
        if before.as_ref().is_none_or(|before| !looks_the_same(before, &person)) {
            self.tell_profile(&person).await;
        }
        let _ = told.send(());
    }

    async fn tell_profile(&self, person: &Person) {
        let user = &person.id;
        self.hand_over(person.clone());
        let said = self.state().said(user);
        let seen = person.over(&said);
        let message = wire::user_profile_updated(person.username.as_ref(), &seen, person.changed_at);
        let frame = Frame::one(message);
        let acquaintances = self.store.acquaintances(user).await.unwrap_or_else(|error| {
            warn!(%error, "cannot find who shares a roster with a user whose profile has changed");
            Vec::new()
        });
        let mut audience = self.mailboxes_of_all(acquaintances.iter().chain([user]));
        for mailbox in self.shards.company_of(user).await {
            audience.add(&mailbox);
        }
        audience.tell(|| Delivery::Answer(frame.clone()));
        debug!(user = %user, connections = audience.mailboxes.len(), "told that a profile has changed");
    }
}

fn looks_the_same(before: &Person, after: &Person) -> bool {
    (&before.username, before.color, &before.avatar, &before.email)
        == (&after.username, after.color, &after.avatar, &after.email)
}

/// The answer when the server ends in the middle of a change.
pub(super) fn cut_short() -> StoreError {
    StoreError::Unavailable("the server is going away".to_owned())
}
