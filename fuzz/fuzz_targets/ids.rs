//! Names, cursors and patterns: each parser takes what its rule says and nothing else, and what it took reads back as
//! it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use presence_core::frame::EventId;
use presence_core::id::{ConnectionId, Epoch, RoomId, SessionId, UserId};
use presence_core::people::{DocumentKey, Username};
use presence_core::profile::{Color, Profile, is_safe_picture};
use presence_core::rights::{Pattern, Rooms, UserIds};
use presence_core::stream::MessageId;
use presence_core::wire::Since;

/// A glob by its definition: slow, and too simple to be wrong.
fn is_like(pattern: &[char], text: &[char]) -> bool {
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for wanted in pattern {
        if *wanted == '*' {
            let first = fits.iter().position(|fits| *fits).unwrap_or(fits.len());
            fits[first..].fill(true);
        } else {
            for at in (0..text.len()).rev() {
                fits[at + 1] = fits[at] && text[at] == *wanted;
            }
            fits[0] = false;
        }
    }
    fits[text.len()]
}

fn names(text: &str) {
    let chars = text.chars().count();
    let plain = (1..=128).contains(&chars) && !text.chars().any(char::is_control);
    assert_eq!(UserId::parse(text).is_ok(), plain);
    assert_eq!(SessionId::parse(text).is_ok(), plain);
    let of_room = |c: char| c.is_ascii_alphanumeric() || "_-.:~/".contains(c);
    let room = match text.strip_prefix('@') {
        Some(owner) => UserId::parse(owner).is_ok(),
        None => (1..=128).contains(&chars) && text.chars().all(of_room),
    };
    assert_eq!(RoomId::parse(text).is_ok(), room);
    if let Ok(user) = UserId::parse(text) {
        assert_eq!(RoomId::inbox(&user).inbox_of(), Some(text));
        assert_eq!(RoomId::parse(RoomId::inbox(&user).as_str()), Ok(RoomId::inbox(&user)));
        let profile = Profile::of_user(user);
        assert_eq!(Color::parse(profile.color.as_str()), Ok(profile.color));
    }
    if let Ok(epoch) = Epoch::parse(text) {
        assert_eq!(epoch.as_str(), text);
    }
    if let Ok(connection) = ConnectionId::parse(text) {
        assert_eq!(connection.to_string(), text);
    }
    if let Ok(id) = MessageId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(key) = DocumentKey::parse(text) {
        assert_eq!(key.as_str(), text);
    }
    if let Ok(name) = Username::parse(text) {
        assert_eq!(Username::parse(name.as_str()), Ok(name.clone()));
        assert!((3..=64).contains(&name.as_str().chars().count()));
    }
    if let Ok(color) = Color::parse(text) {
        assert_eq!(Color::parse(color.as_str()), Ok(color));
    }
    if is_safe_picture(text) {
        let lower = text.to_ascii_lowercase();
        assert!(lower.starts_with("https:") || lower.starts_with("data:image/"), "{text}");
    }
}

fn place(text: &str) {
    let Some((room, since)) = Since::of_event(text) else { return };
    if let Ok(epoch) = Epoch::parse(&since.epoch) {
        let id = EventId { room: room.clone(), epoch, version: since.version };
        assert_eq!(Since::of_event(&id.to_string()), Some((room, since)));
    }
}

fn patterns(pattern: &str, text: &str) {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    assert_eq!(
        Pattern::new(pattern).matches(text),
        is_like(&chars(pattern), &chars(text)),
        "{pattern} {text}"
    );
    if let (Ok(pattern), Ok(room)) = (Pattern::of_rooms(pattern), RoomId::parse(text)) {
        let ann = UserId::parse("ann").expect("it is a name");
        let rooms = Rooms::Like([pattern].into());
        assert!(room.inbox_of().is_none_or(|owner| rooms.allow(&ann, &room) == (owner == "ann")));
    }
    let taken = UserIds::named(pattern).parse(text);
    assert!(taken.is_err() || taken == UserId::parse(text));
}

fuzz_target!(|text: &str| {
    names(text);
    place(text);
    if let Some((pattern, text)) = text.split_once('\n') {
        patterns(pattern, text);
        names(text);
    }
});
