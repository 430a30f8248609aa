//! What is seen of rooms and users by those who look from outside.

use presence_core::limits::Limits;
use presence_core::shard::look::COUNTED_USERS_MAX;
use presence_core::shard::{Detach, RoomCommand};

use crate::node::{Node, joining, room, user};

#[test]
fn a_user_is_found_by_rooms_and_by_connections() {
    let mut node = Node::new();
    let (first, second) = (node.enters("ann", "1"), node.enters("ann", "2"));
    node.tell_room("team", first, RoomCommand::Join(joining("ann")));
    let bob = node.enters("bob", "b");
    let ann = user("ann");
    assert_eq!(node.shard.rooms_of_user(&ann), [room("doc"), room("team")], "each once");
    assert_eq!(node.shard.connections_of(&ann), [first, second]);
    assert_eq!(node.shard.users_in(&room("doc"), 9), [user("ann"), user("bob")]);
    assert_eq!(node.shard.users_in(&room("doc"), 1), [user("ann")]);
    assert!(node.shard.users_in(&room("nowhere"), 9).is_empty());
    node.detach(second, Detach::Lost);
    assert_eq!(node.shard.connections_of(&ann), [first], "who is waited for has no connection");
    node.detach(bob, Detach::Lost);
    assert_eq!(node.shard.rooms_of_user(&user("bob")), [room("doc")], "and is in the room all the same");
    assert!(node.shard.rooms_of_user(&user("eve")).is_empty());
}

/// One look never does more than a bounded amount of work.
#[test]
fn a_list_of_rooms_ends_with_the_one_that_makes_it_too_much_to_count() {
    let limits = Limits { users_per_room_max: COUNTED_USERS_MAX, ..Limits::default() };
    let mut node = Node::within(limits);
    for number in 0..COUNTED_USERS_MAX {
        let name = format!("user-{number}");
        let generation = node.attach(&name, "s");
        node.tell_room("a", generation, RoomCommand::Join(joining(&name)));
        // Lost before it is answered: so many snapshots of so many users would fill the memory.
        node.detach(generation, Detach::Lost);
    }
    let ann = node.attach("ann", "a");
    node.tell(ann, RoomCommand::Join(joining("ann")));
    let page = node.shard.rooms_after(None, "", 9);
    assert_eq!((page.items.len(), page.items[0].users, page.more), (1, COUNTED_USERS_MAX, true));
    let rest = node.shard.rooms_after(Some(&room("a")), "", 9);
    assert_eq!((rest.items[0].room.as_str(), rest.more), ("doc", false));
}
