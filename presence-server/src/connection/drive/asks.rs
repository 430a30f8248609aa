//! What a session wants of streams and of people, passed on to them.

use presence_core::session::{Delivery, PeopleCommand, StreamCommand};

use super::{Drive, Step};
use crate::audit;

impl Drive {
    pub(super) fn carry_out_stream(&mut self, command: StreamCommand) -> Step {
        let streams = self.shared.streams.clone();
        // Nobody is known to a stream who is not known.
        let Some(who) = self.who() else { return Step::Done };
        match command {
            StreamCommand::Listen { room, after } => {
                return Step::wait(async move { streams.listen(who, room, after).await });
            }
            StreamCommand::Leave { room, sent } => {
                return Step::wait(async move { streams.leave(who, room, sent).await });
            }
            StreamCommand::Publish(publish) => {
                let (correlation, reference) = (self.correlation().into(), publish.reference.clone());
                let connection = self.session.connection();
                if let Err(error) = streams.publish(*publish, correlation, connection, &self.mailbox) {
                    self.session.handle_delivery(Delivery::Refused { error, reference });
                }
            }
            StreamCommand::Acknowledge { room, seq, unsure } => {
                return Step::wait(async move { streams.acknowledge(who, room, seq, unsure).await });
            }
            StreamCommand::Fetch(fetch) => streams.fetch(fetch, &self.mailbox),
            StreamCommand::Sync(sync) => streams.sync(*sync, &self.mailbox),
            StreamCommand::Redelivered(messages) => self.shared.metrics.redelivered(messages),
            StreamCommand::Violated(violation) => audit::violated(&self.shared.metrics, [violation]),
        }
        Step::Done
    }

    pub(super) fn ask_people(&mut self, command: PeopleCommand) {
        let (people, connection) = (&self.shared.people, self.session.connection());
        match command {
            PeopleCommand::Watch { users, reference } => {
                let watched = people.watch(connection, &self.mailbox, users, reference.clone());
                if let Err(error) = watched {
                    self.session.handle_delivery(Delivery::Refused { error, reference });
                }
            }
            PeopleCommand::Unwatch { users } => people.unwatch(connection, &users),
            PeopleCommand::ListUsers { .. } => {
                if let Some(user) = self.session.user() {
                    people.list_users(user.clone(), &self.mailbox, command);
                }
            }
        }
    }
}
