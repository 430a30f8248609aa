//! How a session ends, and what that means for the rooms that it is in.

use super::{Phase, Session, SessionOutput};
use crate::error::CloseReason;
use crate::shard::Detach;

impl Session {
    /// The connection is over. Comes last, whoever ended it.
    pub fn handle_end(&mut self, how: Detach) {
        if matches!(self.phase, Phase::Ready(_)) {
            self.outputs.push(SessionOutput::Detach { how });
        }
        self.phase = Phase::Closed;
        self.rooms.clear();
        self.courier = None;
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        if !self.is_closed() {
            if matches!(self.phase, Phase::Ready(_)) {
                self.outputs.push(SessionOutput::Detach { how: reason.detach() });
            }
            self.outputs.push(SessionOutput::Close(reason));
            self.phase = Phase::Closed;
            self.rooms.clear();
            self.courier = None;
        }
    }
}

impl CloseReason {
    /// What the server's own closing means for the session's rooms: whoever may come back is waited for.
    fn detach(self) -> Detach {
        match self {
            Self::PeerClosed => Detach::Finished,
            Self::Kicked | Self::NotAuthorized => Detach::Kicked,
            Self::Draining
            | Self::SlowConsumer
            | Self::HeartbeatTimeout
            | Self::RateLimitAbused
            | Self::TokenExpired
            | Self::TakenOver
            | Self::ProtocolAbused => Detach::Lost,
        }
    }
}
