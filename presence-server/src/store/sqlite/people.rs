//! People, their rosters and invitations.

use presence_core::id::{RoomId, UserId};
use presence_core::people::{Invitation, InvitationAnswer, Person, PersonPatch, RosterMember};
use presence_core::port::store::{Appended, Changes};
use presence_core::stream::{NewMessage, Seq};
use presence_core::time::WallTime;
use rusqlite::{Connection, Row, params};

use super::fault::Refusal;
use super::row::{self, Ask, PERSON, int, time};
use super::streams::{Room, Transaction, person};
use crate::store::{
    INVITED, NO_INVITATION, NO_ROSTER, NOTICE_ELSEWHERE, ON_ROSTER, cut, owns, whole_rosters,
};

pub(super) fn people(db: &Connection, users: &[UserId]) -> rusqlite::Result<Vec<Person>> {
    let sql = format!("SELECT {PERSON} FROM people WHERE id = ? AND changed_at IS NOT NULL");
    let found = users.iter().filter_map(|user| db.one(&sql, [user.as_str()], row::person).transpose());
    found.collect()
}

pub(super) fn acquaintances(db: &Connection, user: &UserId) -> rusqlite::Result<Vec<UserId>> {
    let sql = "SELECT DISTINCT others.id FROM people AS me JOIN members AS mine USING (person) \
               JOIN members AS theirs USING (room) JOIN people AS others ON others.person = theirs.person \
               WHERE me.id = ?1 AND others.id <> ?1 ORDER BY others.id";
    db.all(sql, [user.as_str()], |row| row::user(row, 0))
}

pub(super) fn roster(db: &Connection, room: &RoomId) -> rusqlite::Result<Vec<RosterMember>> {
    let sql = "SELECT people.id, joined_at FROM rooms JOIN members USING (room) JOIN people USING (person) \
               WHERE rooms.id = ? ORDER BY joined_at, people.id";
    db.all(sql, [room.as_str()], |row| {
        Ok(RosterMember { room: room.clone(), user: row::user(row, 0)?, joined_at: time(row, 1)? })
    })
}

pub(super) fn is_member(db: &Connection, room: &RoomId, user: &UserId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM rooms JOIN members USING (room) JOIN people USING (person) \
               WHERE rooms.id = ? AND people.id = ?";
    db.any(sql, (room.as_str(), user.as_str()))
}

const INVITATIONS: &str = "SELECT rooms.id, invited.id, inviting.id, created_at \
    FROM invitations JOIN rooms USING (room) JOIN people AS invited ON invited.person = invitations.person \
    JOIN people AS inviting ON inviting.person = invited_by";

fn invitation(row: &Row<'_>) -> rusqlite::Result<Invitation> {
    Ok(Invitation {
        room: row::room(row, 0)?,
        user: row::user(row, 1)?,
        invited_by: row::user(row, 2)?,
        created_at: time(row, 3)?,
    })
}

pub(super) fn invitations_to(db: &Connection, room: &RoomId) -> rusqlite::Result<Vec<Invitation>> {
    let sql = format!("{INVITATIONS} WHERE rooms.id = ? ORDER BY created_at, invited.id");
    db.all(&sql, [room.as_str()], invitation)
}

pub(super) fn invitations_of(db: &Connection, user: &UserId) -> rusqlite::Result<Vec<Invitation>> {
    let sql = format!("{INVITATIONS} WHERE invited.id = ? ORDER BY created_at, rooms.id");
    db.all(&sql, [user.as_str()], invitation)
}

pub(super) fn changes(
    db: &Connection,
    user: &UserId,
    since: WallTime,
    limit: usize,
) -> rusqlite::Result<Changes> {
    let (since, one_more) = (since.as_unix_millis(), int(limit as u64).saturating_add(1));
    let sql = format!(
        "SELECT {PERSON} FROM people WHERE changed_at > ?2 AND (id = ?1 OR person IN ( \
             SELECT theirs.person FROM people AS me JOIN members AS mine USING (person) \
             JOIN members AS theirs USING (room) WHERE me.id = ?1)) ORDER BY changed_at, id LIMIT ?3",
    );
    let mut people = db.all(&sql, (user.as_str(), since, one_more), row::person)?;

    let sql = "SELECT rooms.id, max(theirs.joined_at) AS joined FROM people AS me JOIN members AS mine USING (person) \
               JOIN members AS theirs USING (room) JOIN rooms USING (room) \
               WHERE me.id = ?1 GROUP BY room HAVING joined > ?2 ORDER BY joined, rooms.id LIMIT ?3";
    let grown = db.all(sql, (user.as_str(), since, one_more), |row| row::room(row, 0))?;
    let grown: Vec<Vec<RosterMember>> =
        grown.iter().map(|room| roster(db, room)).collect::<Result<_, _>>()?;
    let (rosters, cut_off) = whole_rosters(grown.into_iter(), limit);

    let sql = format!(
        "{INVITATIONS} WHERE invited.id = ? AND created_at > ? ORDER BY created_at, rooms.id LIMIT ?"
    );
    let mut invitations = db.all(&sql, (user.as_str(), since, one_more), invitation)?;
    let more = cut(&mut people, limit) | cut(&mut invitations, limit) | cut_off;
    Ok(Changes { people, rosters, invitations, more })
}

impl Transaction<'_> {
    pub(super) fn change_person(
        &self,
        user: &UserId,
        patch: &PersonPatch,
        now: WallTime,
    ) -> rusqlite::Result<Person> {
        let number = self.person(user)?;
        let now = now.as_unix_millis();
        let set = |column: &str, value: Option<&str>| {
            let sql = format!("UPDATE people SET {column} = ? WHERE person = ?");
            self.db.change(&sql, (value, number)).map(drop)
        };
        if let Some(username) = &patch.username {
            set("username", username.as_ref().map(|name| name.as_str()))?;
        }
        if let Some(color) = &patch.color {
            set("color", color.as_ref().map(|color| color.as_str()))?;
        }
        if let Some(avatar) = &patch.avatar {
            set("avatar", avatar.as_deref())?;
        }
        if let Some(email) = &patch.email {
            set("email", email.as_deref())?;
        }
        self.db.change("UPDATE people SET changed_at = ? WHERE person = ?", (now, number))?;
        let sql = format!("SELECT {PERSON} FROM people WHERE person = ?");
        self.db.prepare_cached(&sql)?.query_row([number], row::person)
    }

    pub(super) fn seen_online(&self, seen: &[(UserId, WallTime)]) -> rusqlite::Result<()> {
        let sql = "INSERT INTO people (id, last_online, changed_at) VALUES (?1, ?2, ?2) ON CONFLICT (id) DO UPDATE SET \
                   last_online = max(coalesce(last_online, ?2), ?2), changed_at = coalesce(changed_at, ?2)";
        seen.iter()
            .try_for_each(|(user, at)| self.db.change(sql, (user.as_str(), at.as_unix_millis())).map(drop))
    }

    fn is_on_roster(&self, room: i64, person: i64) -> rusqlite::Result<bool> {
        self.db.any("SELECT 1 FROM members WHERE room = ? AND person = ?", (room, person))
    }

    pub(super) fn add_member(&self, room: &RoomId, user: &UserId, now: WallTime) -> Result<bool, Refusal> {
        if room.inbox_of().is_some() {
            return Err(NO_ROSTER.into());
        }
        self.receive(room, user)?;
        let (room, person) = (self.room(room)?.number, self.person(user)?);
        let sql = "INSERT INTO members (room, person, joined_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        let added = self.db.change(sql, (room, person, now.as_unix_millis()))? == 1;
        let sql = "DELETE FROM invitations WHERE room = ? AND person = ?";
        self.db.change(sql, (room, person))?;
        Ok(added)
    }

    pub(super) fn remove_member(&mut self, room: &RoomId, user: &UserId) -> rusqlite::Result<bool> {
        let (Some(room), Some(person)) = (Room::find(self.db, room)?, person(self.db, user)?) else {
            return Ok(false);
        };
        let sql = "DELETE FROM members WHERE room = ? AND person = ?";
        if self.db.change(sql, (room.number, person))? == 0 {
            return Ok(false);
        }
        self.stop_receiving(room, person)?;
        Ok(true)
    }

    pub(super) fn invite(&mut self, invitation: &Invitation, notice: &NewMessage) -> Result<Seq, Refusal> {
        if invitation.room.inbox_of().is_some() {
            return Err(NO_ROSTER.into());
        }
        if !owns(&invitation.user, &notice.room) {
            return Err(NOTICE_ELSEWHERE.into());
        }
        if let (Some(room), Some(person)) =
            (Room::find(self.db, &invitation.room)?, person(self.db, &invitation.user)?)
        {
            if self.is_on_roster(room.number, person)? {
                return Err(ON_ROSTER.into());
            }
            let sql = "SELECT 1 FROM invitations WHERE room = ? AND person = ?";
            if self.db.any(sql, (room.number, person))? {
                return Err(INVITED.into());
            }
        }
        let (Appended::New { seq } | Appended::Again { seq, .. }) = self.append(notice)?;
        let Invitation { room, user, invited_by, created_at } = invitation;
        let (room, user, by) = (self.room(room)?.number, self.person(user)?, self.person(invited_by)?);
        let sql = "INSERT INTO invitations (room, person, invited_by, created_at) VALUES (?, ?, ?, ?)";
        self.db.change(sql, params![room, user, by, created_at.as_unix_millis()])?;
        Ok(seq)
    }

    pub(super) fn answer_invitation(
        &mut self,
        room: &RoomId,
        user: &UserId,
        answer: InvitationAnswer,
        now: WallTime,
    ) -> Result<Invitation, Refusal> {
        let sql = format!("{INVITATIONS} WHERE rooms.id = ? AND invited.id = ?");
        let found = self.db.one(&sql, (room.as_str(), user.as_str()), invitation)?.ok_or(NO_INVITATION)?;
        match answer {
            InvitationAnswer::Accept => self.add_member(room, user, now).map(drop)?,
            InvitationAnswer::Decline | InvitationAnswer::Withdraw => {
                let (room, person) = (self.room(room)?.number, self.person(user)?);
                self.db.change("DELETE FROM invitations WHERE room = ? AND person = ?", (room, person))?;
                self.forget_if_empty(room)?;
            }
        }
        Ok(found)
    }
}
