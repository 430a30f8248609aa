//! What a window shows, as those see it who look now and then.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use presence_core::feed::Gathered;
use presence_core::frame::{Frame, Message};
use presence_core::window::{Pane, RoomReader, Shown};

fn shown(stamp: u64, rows: u64) -> Shown {
    let frame = |what: &str| Frame::one(Message::new(format!("{what} at {stamp}")));
    Shown { stamp, rows, whole: frame("rows"), totals: frame("totals") }
}

/// What a reader finds when it looks, having known before whether there is anything.
fn found(reader: &mut RoomReader) -> Vec<String> {
    let (behind, mut frames) = (reader.behind(), Vec::new());
    assert_eq!(reader.gather(&mut frames, 1), Gathered::Everything, "however little is asked for");
    assert_eq!((behind, reader.behind()), (frames.len() as u64, 0));
    let messages = frames.iter().flat_map(Frame::messages);
    messages.map(|message| String::from_utf8(message.text().to_vec()).unwrap()).collect()
}

#[test]
fn who_looks_at_a_window_finds_the_newest_once_and_its_rows_only_if_they_are_new() {
    let pane = Pane::new(shown(1, 1));
    let mut reader = RoomReader::Window(Box::new(pane.reader(&shown(1, 1))));
    assert!(found(&mut reader).is_empty(), "it has been told that");
    for (newest, finds) in [
        (vec![shown(2, 1)], "totals at 2"),
        (vec![shown(3, 3)], "rows at 3"),
        (vec![shown(4, 4), shown(5, 4)], "rows at 5"),
        (vec![shown(6, 4), shown(7, 4)], "totals at 7"),
    ] {
        assert!(newest.iter().all(|newest| pane.show(newest)));
        assert_eq!(found(&mut reader), [finds]);
        assert!(found(&mut reader).is_empty(), "{finds}");
    }
    assert!(!pane.show(&shown(7, 7)) && !pane.show(&shown(3, 3)), "that is not new");
    assert!(found(&mut reader).is_empty());
}
