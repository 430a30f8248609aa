// Messages that last: what is on its way, what has come, and what a room shows of both.
import type { Message } from "../api.ts";
import type { Host, Messages } from "../features.ts";
import type { StreamItem } from "../wire/messages.ts";
import { createLog, type Log } from "./log.ts";
import { messageOf } from "./message.ts";
import { createOutbox } from "./outbox.ts";
import { createStreams } from "./streams.ts";

const SHOWN = 200;

/** Adds messages to a client. */
export function createMessages(host: Host): Messages {
  /** What is stored, by room. */
  const logs = new Map<string, Log>();
  const shown = new Map<string, readonly Message[]>();
  const selfId = (): string | null => host.self().id;

  const changed = (room: string): void => {
    shown.delete(room);
    host.changed(room, outbox.pending());
  };

  const add = (message: Message): void => {
    if (!host.isHeld(message.room)) return;
    const log = logs.get(message.room) ?? createLog(host.options.messagesMax ?? SHOWN);
    logs.set(message.room, log);
    log.add(message);
    changed(message.room);
  };

  const outbox = createOutbox(host, changed, (message) => {
    const { delivery, room } = message;
    if (delivery.state === "stored") {
      streams.own(room, delivery.seq, message.id);
      add(message);
    }
    host.tellRoom(room, "delivery", message);
  });

  /** An item of a stream has its turn. False: nobody wants it, and it is left to the server. */
  const take = (item: StreamItem): boolean => {
    if (item.type === "thread_invitation") {
      const { room, invitedBy, userName, timestamp } = item;
      host.tell("invitation", { room, invitedBy, userName, timestamp });
      return host.hears("invitation");
    }
    if (!host.isHeld(item.room) && !host.hears("message")) return false;
    // An own message whose acknowledgement was lost goes again, and is acknowledged again.
    if (item.userId === selfId() && outbox.has(item.room, item.id)) return true;
    const message = messageOf(item, selfId());
    add(message);
    host.tellRoom(item.room, "message", message);
    host.tell("message", message);
    return true;
  };

  const streams = createStreams(host, take);

  return {
    ...outbox,
    send: (room, data, how) => outbox.send(room, data, how?.id),
    of(room) {
      const list = shown.get(room) ?? [...(logs.get(room)?.messages() ?? []), ...outbox.of(room)];
      shown.set(room, list);
      return list;
    },
    forget(room) {
      logs.delete(room);
      shown.delete(room);
    },
    receive: streams.receive,
    opened: outbox.flush,
    sync: streams.sync,
    replaced: streams.replaced,
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
