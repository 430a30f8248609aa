//! What an earlier server left: any line is a room or an error. A room that is one reads back as it is written, and
//! whoever takes it up can live with it: people enter it, everybody's time runs out, and nothing is left.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use presence_core::id::{Generation, Incarnation, Version};
use presence_core::profile::Profile;
use presence_core::room::KeptRoom;
use presence_core::shard::{Detach, Entry, Join, RoomCommand, Shard, ShardInput, ShardOutput};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::wire::{Since, kept_room, read_kept_room};
use presence_fuzz::small_limits;
use serde_json::Value;

fn at(millis: u64) -> Now {
    Now { at: Timestamp::from_millis(millis), wall: WallTime::from_unix_millis(millis.cast_signed()) }
}

/// Everything that it has to say is JSON.
fn hear(shard: &mut Shard) {
    while let Some(output) = shard.poll_output() {
        if let ShardOutput::Position { frame, .. } = output {
            for message in frame.messages() {
                let said: Value = serde_json::from_slice(message.text()).expect("a message is JSON");
                assert!(said["type"].is_string(), "{said}");
            }
        }
    }
}

/// One of those who are waited for comes back, with what it had; the others do not.
fn live(kept: &KeptRoom) {
    let mut shard = Shard::new(Arc::new(small_limits()), Incarnation::from_random(1));
    shard.take_up(at(10), kept.clone());
    assert!(shard.room_count() <= 1);
    let generation = Generation::new(1);
    if let Some(member) = kept.members.first() {
        let (user, session) = (member.profile.id.clone(), member.sessions[0].id.clone());
        shard.handle_input(
            at(20),
            ShardInput::Attach { user: user.clone(), session, generation, attempt: None },
        );
        let version = Version::new(kept.version.number().saturating_sub(1));
        let join = Join {
            profile: Arc::new(Profile::of_user(user)),
            active: true,
            state: None,
            since: Some(Since { epoch: kept.epoch.as_str().into(), version }),
            window: None,
            entry: Entry(1),
            reference: None,
        };
        let room = kept.id.clone();
        shard
            .handle_input(at(20), ShardInput::Command { generation, room, command: RoomCommand::Join(join) });
        hear(&mut shard);
    }
    // As long as anything can last; nobody is waited for twice as long.
    let mut steps = 0;
    let mut now = at(30);
    shard.handle_input(now, ShardInput::Detach { generation, how: Detach::Lost });
    while let Some(next) = shard.poll_timeout() {
        steps += 1;
        assert!(steps < 100_000, "its timers do not end");
        if next > at(1 << 40).at {
            return;
        }
        now = at(next.as_millis().max(now.at.as_millis() + 1));
        shard.handle_timeout(now);
        hear(&mut shard);
    }
    assert_eq!((shard.room_count(), shard.user_count(), shard.connection_count()), (0, 0, 0));
}

fuzz_target!(|line: &[u8]| {
    // The file is cut into lines before they are read.
    if line.contains(&b'\n') {
        return;
    }
    let Ok(room) = read_kept_room(line) else { return };
    let written = kept_room(&room);
    assert_eq!(read_kept_room(&written).expect("it was read before"), room);
    assert!(!written.contains(&b'\n'), "it is one line");
    live(&room);
});
