// Messages that last: sends what is written, takes what has come, and keeps what a room shows. Loaded when there are some.
import type { JsonObject, Message, StoredMessage } from "../api.ts";
import { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import { messageOf } from "./message.ts";
import { bodyOf, type News, readNews, type StreamItem } from "./news.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import { createStreams, type Streams } from "./streams.ts";
import { createTyping, type Typing } from "./typing.ts";

/** How many messages a room shows at most. */
const SHOWN = 200;

export interface Post
  extends Pick<Outbox, "send" | "resend" | "discard" | "flush">,
    Pick<Streams, "sync">,
    Pick<Typing, "type" | "isTyping"> {
  /** Takes what a server says beside presence. */
  readonly receive: (message: JsonObject) => void;
  /** What a room shows of messages. */
  readonly of: (room: string) => readonly Message[];
  /** A room has been left. */
  readonly forget: (room: string) => void;
  readonly lost: () => void;
  readonly clear: () => void;
}

function isStored(message: Message): message is StoredMessage {
  return message.delivery.state === "stored";
}

/** Adds messages to a client. */
export function create(hub: Hub): Post {
  /** What is stored, by room, in the order of places. */
  const logs = new Map<string, readonly StoredMessage[]>();

  const changed = (room: string): void => {
    hub.residents.get(room)?.changed();
    hub.setPending(outbox.pending());
  };

  const add = (message: StoredMessage): void => {
    const { room, key } = message;
    if (!hub.residents.get(room)) return;
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
    hub.residents.get(room)?.emit("delivery", message);
  });

  /** An item of a stream has its turn. False: nobody wants it, and it is left to the server. */
  const take = (item: StreamItem): boolean => {
    const { room } = item;
    const resident = hub.residents.get(room);
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

  /** Understands what was said, and deals with it. */
  const hear = (said: JsonObject): void => {
    try {
      const news = readNews(said);
      if (news) handle(news);
      else hub.emit("unknown", said);
    } catch (error) {
      if (error instanceof PresenceError) hub.emit("error", error);
    }
  };

  const handle = (news: News): void => {
    if (news.type === "user_profile_updated") hub.emit("profile", bodyOf(news));
    else if (news.type === "invitation_accepted") hub.emit("accepted", bodyOf(news));
    else if (news.type === "presence:mode") hub.emit("mode", bodyOf(news));
    else streams.receive(news);
  };

  const streams = createStreams(hub, take);

  const typing = createTyping(hub);

  return {
    ...outbox,
    ...streams,
    ...typing,
    send(room, data, id) {
      typing.typed(room);
      return outbox.send(room, data, id);
    },
    receive: hear,
    of: (room) => [...(logs.get(room) ?? []), ...outbox.of(room)],
    forget(room) {
      typing.typed(room);
      logs.delete(room);
    },
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
