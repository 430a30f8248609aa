// Messages that last: what is on its way, what has come, and what a room shows of both.
import type { Message, StoredMessage } from "../api.ts";
import type { Hub, Messages } from "../hub.ts";
import type { StreamItem } from "../wire/messages.ts";
import { bodyOf } from "../wire/parse.ts";
import { messageOf } from "./message.ts";
import { createOutbox } from "./outbox.ts";
import { createStreams } from "./streams.ts";

/** How many messages a room shows at most. */
const SHOWN = 200;

function isStored(message: Message): message is StoredMessage {
  return message.delivery.state === "stored";
}

/** Adds messages to a client. */
export function createMessages(hub: Hub): Messages {
  /** What is stored, by room, in the order of places. */
  const logs = new Map<string, readonly StoredMessage[]>();

  const changed = (room: string): void => {
    hub.resident(room)?.changed();
    hub.setPending(outbox.pending());
  };

  const add = (message: StoredMessage): void => {
    const { room, key } = message;
    if (!hub.resident(room)) return;
    const others = (logs.get(room) ?? []).filter((one) => one.key !== key);
    const log = [...others, message].sort((a, b) => a.delivery.seq - b.delivery.seq);
    logs.set(room, log.slice(-(hub.options.messagesMax ?? SHOWN)));
    changed(room);
  };

  const outbox = createOutbox(hub, changed, (message) => {
    const { room, id } = message;
    if (isStored(message)) {
      streams.own(room, message.delivery.seq, id);
      add(message);
    }
    hub.resident(room)?.emit("delivery", message);
  });

  /** An item of a stream has its turn. False: nobody wants it, and it is left to the server. */
  const take = (item: StreamItem): boolean => {
    const { room } = item;
    const resident = hub.resident(room);
    if (item.type === "thread_invitation") {
      const { inbox: _, seq: __, ...invitation } = bodyOf(item);
      hub.emit("invitation", invitation);
      return hub.hears("invitation");
    }
    if (!resident && !hub.hears("message")) return false;
    const message = messageOf(item, hub.selfId());
    // An own message whose acknowledgement was lost goes again, and is acknowledged again.
    if (outbox.of(room).some(({ key }) => key === message.key)) return true;
    add(message);
    resident?.emit("message", message);
    hub.emit("message", message);
    return true;
  };

  const streams = createStreams(hub, take);

  return {
    ...outbox,
    ...streams,
    send: (room, data, how) => outbox.send(room, data, how?.id),
    of: (room) => [...(logs.get(room) ?? []), ...outbox.of(room)],
    forget: (room) => logs.delete(room),
    lost() {
      outbox.lost();
      streams.lost();
    },
    clear() {
      outbox.clear();
      streams.clear();
    },
  };
}
