//! Whose a connection is: finding out, and the place it has among their others.

use std::sync::Arc;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::id::UserId;
use presence_core::session::Credentials;

use super::Drive;
use crate::connection::OwnerPlace;
use crate::limits::Refused;
use crate::stream::Who;

impl Drive {
    pub(super) fn verify(&mut self, credentials: Credentials) {
        let (address, shared) = (self.transport.info().peer.ip(), Arc::clone(&self.shared));
        if let Err(refused) = shared.addresses.check_auth(address) {
            return self.turn_away(refused);
        }
        let verdict = shared.auth.verify(credentials.token.reveal()).map_err(|error| {
            shared.addresses.failed_auth(address);
            error.answer()
        });
        self.session.handle_verified(shared.clock.now(), credentials, verdict);
    }

    pub(super) fn turn_away(&mut self, refused: Refused) {
        self.shared.metrics.refused(refused.bound);
        let error = CommandError::new(ErrorCode::RateLimited, refused.bound.sentence());
        self.session.handle_crowded(&error.retry_after(refused.retry_after));
    }

    /// Whose it is; also once the session is over, which forgets that.
    pub(super) fn user(&self) -> Option<&UserId> {
        match &self.places.owner {
            OwnerPlace::User(place) => Some(place.user()),
            OwnerPlace::None | OwnerPlace::Unknown(_) => None,
        }
    }

    /// As which connection of whom it is known to streams.
    pub(super) fn who(&self) -> Option<Who> {
        let generation = self.generation;
        self.user().map(|user| Who { user: user.clone(), generation })
    }

    /// Takes a place among the connections of its user, unless it has one, and pays together with them.
    pub(super) fn take_place(&mut self, user: &UserId) -> Result<(), Refused> {
        if self.user().is_none() {
            self.places.owner = OwnerPlace::User(self.shared.users().enter(user)?);
        }
        if let OwnerPlace::User(place) = &self.places.owner {
            self.session.share_budget(place.budget());
        }
        Ok(())
    }
}
