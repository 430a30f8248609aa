//! What one server leaves to the next when it stops in good order: who is present in every room, in one file.
//!
//! A line that says what it is and of which version, a line about the whole, a line for each room, and a checksum of all
//! that. It is taken out of its folder before it is believed, so that a server that crashes later can not bring the
//! same people back a second time.

use std::time::Duration;

use presence_core::room::KeptRoom;
use presence_core::time::WallTime;
use presence_core::wire::{KeptRoomError, kept_room, read_kept_room};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::metrics::Metrics;

/// The file's name.
const FILE: &str = "handover";

/// How it begins; a version follows.
const MAGIC: &[u8] = b"presence-handover ";

/// The version that this server writes, and the only one that it reads.
const VERSION: &[u8] = b"1\n";

/// How the last line begins; eight hex digits and the line's end follow.
const CHECKSUM: &[u8] = b"crc32 ";

/// More than the first two lines ever have.
const HEAD_BYTES_MAX: usize = 128;

/// Bytes of the last line.
const LAST_LINE: usize = CHECKSUM.len() + 8 + 1;

/// The line about the whole.
#[derive(Serialize, Deserialize)]
struct About {
    /// Unix milliseconds.
    written_at: i64,
    rooms: usize,
}

/// Why a server begins without what the last one left.
#[derive(Debug, thiserror::Error)]
enum Ignored {
    #[error("it can not be used: {0}")]
    Unusable(#[from] std::io::Error),
    #[error("it is of another version")]
    OtherVersion,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it makes no sense: {0}")]
    Senseless(#[from] KeptRoomError),
    #[error("it was written {0} s ago by the clock on the wall, and who was here then may be long gone")]
    TooOld(i64),
}

impl Ignored {
    /// As the metrics call it.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Unusable(_) => "unusable",
            Self::OtherVersion => "other_version",
            Self::Damaged(_) | Self::Senseless(_) => "damaged",
            Self::TooOld(_) => "too_old",
        }
    }
}

/// Takes what the last server left, if it can be believed. Whatever is wrong with it, this server starts.
pub(crate) fn take(data: &DataDir, now: WallTime, config: &Config, metrics: &Metrics) -> Vec<KeptRoom> {
    let age_max = Duration::from_millis(config.handover_age_ms);
    let content = data.take(FILE, config.handover_bytes_max).map_err(Ignored::from);
    let taken = content.and_then(|content| content.map(|content| read(&content, now, age_max)).transpose());
    match taken {
        Ok(None) => {
            info!("no server handed over to this one");
            metrics.handover("none");
            Vec::new()
        }
        Ok(Some(rooms)) => {
            info!(
                rooms = rooms.len(),
                sessions = sessions(&rooms),
                "took up what the last server handed over"
            );
            metrics.handover("taken_up");
            rooms
        }
        Err(ignored) => {
            warn!(reason = %ignored, "what the last server handed over is not used; rooms begin anew");
            metrics.handover(ignored.outcome());
            Vec::new()
        }
    }
}

/// Leaves the rooms to the next server.
pub(crate) fn leave(data: &DataDir, rooms: &[KeptRoom], now: WallTime, bytes_max: u64) {
    let (content, written) = write(rooms, now, bytes_max);
    if written < rooms.len() {
        warn!(rooms = rooms.len() - written, "rooms that `handover_bytes_max` does not hold will begin anew");
    }
    match data.put(FILE, &content) {
        Ok(()) => info!(rooms = written, bytes = content.len(), "handed over to the next server"),
        Err(error) => error!(%error, "cannot hand over to the next server; rooms will begin anew"),
    }
}

fn sessions(rooms: &[KeptRoom]) -> usize {
    rooms.iter().flat_map(|room| &room.members).map(|member| member.sessions.len()).sum()
}

/// The file, and how many of the rooms are in it.
fn write(rooms: &[KeptRoom], now: WallTime, bytes_max: u64) -> (Vec<u8>, usize) {
    let mut lines = Vec::new();
    let mut written = 0;
    for room in rooms {
        let line = kept_room(room);
        // A room that does not fit is left out whole: half of it would be a lie.
        if (lines.len() + line.len() + 1 + HEAD_BYTES_MAX + LAST_LINE) as u64 <= bytes_max {
            lines.extend(line);
            lines.push(b'\n');
            written += 1;
        }
    }
    let about = About { written_at: now.as_unix_millis(), rooms: written };
    let about = serde_json::to_vec(&about).expect("two numbers are JSON");
    let mut content = [MAGIC, VERSION, &about, b"\n", &lines].concat();
    let checksum = crc32fast::hash(&content);
    content.extend_from_slice(CHECKSUM);
    content.extend_from_slice(format!("{checksum:08x}\n").as_bytes());
    (content, written)
}

fn read(content: &[u8], now: WallTime, age_max: Duration) -> Result<Vec<KeptRoom>, Ignored> {
    let rest = content.strip_prefix(MAGIC).ok_or(Ignored::Damaged("it does not begin like one"))?;
    if !rest.starts_with(VERSION) {
        return Err(Ignored::OtherVersion);
    }
    let end = content.len().saturating_sub(LAST_LINE);
    let (covered, last_line) = content.split_at(end);
    if last_line != [CHECKSUM, format!("{:08x}\n", crc32fast::hash(covered)).as_bytes()].concat() {
        return Err(Ignored::Damaged("its checksum is another, or missing"));
    }
    let mut lines = covered.split(|byte| *byte == b'\n').skip(1);
    let about = lines.next().and_then(|line| serde_json::from_slice::<About>(line).ok());
    let about = about.ok_or(Ignored::Damaged("it does not say when it was written"))?;
    let age = now.as_unix_millis().saturating_sub(about.written_at);
    // A clock that was set back makes a file of tomorrow, and says as little about its age.
    if u128::from(age.unsigned_abs()) > age_max.as_millis() {
        return Err(Ignored::TooOld(age / 1000));
    }
    let rooms: Vec<KeptRoom> =
        lines.filter(|line| !line.is_empty()).map(read_kept_room).collect::<Result<_, _>>()?;
    if rooms.len() != about.rooms {
        return Err(Ignored::Damaged("it has another number of rooms than it says"));
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use presence_core::id::{Epoch, Incarnation, RoomId, SessionId, UserId, Version};
    use presence_core::profile::Profile;
    use presence_core::room::{KeptMember, KeptSession, LeaveCause};
    use presence_testkit::folder::Folder;

    use super::*;

    const NOW: WallTime = WallTime::from_unix_millis(1_700_000_000_000);
    const AGE_MAX: Duration = Duration::from_secs(300);

    fn rooms() -> Vec<KeptRoom> {
        let session = KeptSession {
            id: SessionId::parse("tab").unwrap(),
            connected_at: NOW,
            active: true,
            state: Default::default(),
            cursor: None,
            grace: Duration::from_secs(15),
            cause: LeaveCause::Timeout,
        };
        let room = |number: u64| KeptRoom {
            id: RoomId::parse(&format!("room-{number}")).unwrap(),
            epoch: Epoch::new(Incarnation::from_random(1), number),
            version: Version::new(number),
            members: vec![KeptMember {
                profile: Arc::new(Profile::of_user(UserId::parse("ann").unwrap())),
                joined_at: NOW,
                last_seen: NOW,
                sessions: vec![session.clone()],
            }],
            latest: Vec::new(),
        };
        (1..=3).map(room).collect()
    }

    fn file() -> Vec<u8> {
        write(&rooms(), NOW, u64::MAX).0
    }

    fn outcome(content: &[u8], now: WallTime) -> &'static str {
        read(content, now, AGE_MAX).map_or_else(|ignored| ignored.outcome(), |_| "taken_up")
    }

    fn later(millis: i64) -> WallTime {
        WallTime::from_unix_millis(NOW.as_unix_millis() + millis)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&file(), later(1_000), AGE_MAX).unwrap(), rooms());
        assert_eq!(read(&write(&[], NOW, u64::MAX).0, NOW, AGE_MAX).unwrap(), []);
    }

    #[test]
    fn whatever_is_cut_off_or_changed_is_noticed() {
        let file = file();
        for end in 0..file.len() {
            assert_ne!(outcome(&file[..end], NOW), "taken_up", "cut off at {end}");
        }
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                assert_ne!(outcome(&changed, NOW), "taken_up", "bit {bit} of byte {at}");
            }
        }
        assert_ne!(outcome(&[&file[..], b"\n"].concat(), NOW), "taken_up");
    }

    #[test]
    fn what_is_too_old_or_of_another_version_is_named_so() {
        let age_max = AGE_MAX.as_millis() as i64;
        for (age, expected) in [
            (age_max, "taken_up"),
            (age_max + 1, "too_old"),
            // The clock was set back.
            (-age_max, "taken_up"),
            (-age_max - 1, "too_old"),
            (i64::MAX - NOW.as_unix_millis(), "too_old"),
        ] {
            assert_eq!(outcome(&file(), later(age)), expected, "{age}");
        }
        let text = String::from_utf8(file()).unwrap();
        let next = text.replacen("presence-handover 1\n", "presence-handover 2\n", 1);
        assert_eq!(outcome(next.as_bytes(), NOW), "other_version");
        assert_eq!(outcome(b"", NOW), "damaged");
    }

    #[test]
    fn a_room_that_does_not_fit_is_left_out_whole() {
        let whole = file().len() as u64;
        let (content, written) = write(&rooms(), NOW, whole);
        assert!(content.len() as u64 <= whole);
        assert_eq!((read(&content, NOW, AGE_MAX).unwrap().len(), written), (2, 2));
        assert_eq!(write(&rooms(), NOW, 0).1, 0);
    }

    /// C2: nobody is brought back twice.
    #[test]
    fn what_was_left_is_taken_once() {
        let folder = Folder::new();
        let data = DataDir::open(folder.path()).unwrap();
        let (config, metrics) = (Config::default(), Metrics::new());
        assert_eq!(take(&data, NOW, &config, &metrics), []);
        leave(&data, &rooms(), NOW, config.handover_bytes_max);
        assert_eq!(take(&data, later(1_000), &config, &metrics), rooms());
        assert_eq!(take(&data, later(1_000), &config, &metrics), []);
        // What is not believed is not there any more either.
        data.put(FILE, b"presence-handover 1\nnonsense").unwrap();
        assert_eq!(take(&data, NOW, &config, &metrics), []);
        assert!(data.take(FILE, 1_000).unwrap().is_none());
    }
}
