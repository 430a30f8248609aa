// Messages that last, as every page has them: the part that deals with them comes when there is one.
import type { Client, JsonObject, Room, StoredMessage } from "../api.ts";
import type { Hub } from "../hub.ts";
import { type Later, later } from "../load.ts";
import { json } from "../wire/json.ts";
import type { Post } from "./post.ts";

/** What is known of messages also before that part is there. */
export interface Early {
  /** The server's time when it was last heard. */
  time: number;
  /** The same before a connection was lost; `null` if nothing may be missing. */
  lostAt: number | null;
  /** Whether the server's histories are other ones than before: places in them mean nothing any more. */
  isReplaced: boolean;
}

export interface Messages extends Pick<Client, "send"> {
  /** The part that deals with them, if it is there. */
  readonly now: Post | undefined;
  readonly use: Later<Post>["use"];
  readonly resend: (room: string, id: string) => ReturnType<Room["resend"]>;
  /** Takes what a server says beside presence. */
  readonly receive: (message: JsonObject) => void;
  /** The server's clock says this. */
  readonly setTime: (serverTime: number) => void;
  /** Asks for what was missed, if anything could have been; then calls `done`. */
  readonly sync: (done: () => void) => void;
  readonly lost: () => void;
}

export function createMessages(hub: Hub): Messages {
  const { early } = hub;
  /** What has come meanwhile. */
  let said: JsonObject[] = [];
  /** How many were sent before that part was there. */
  let waiting = 0;
  let synced = (): void => {};
  // Rooms are in step without it.
  const post = later(
    hub,
    () => import("./post.ts"),
    () => synced(),
  );

  /** What fails is shown as failed: nobody has to listen. */
  const ask = (call: (post: Post) => Promise<StoredMessage>): Promise<StoredMessage> => {
    const answer = Promise.resolve(post.use(call));
    answer.catch(() => {});
    return answer;
  };

  const prepare = (): void => {
    post.use(({ receive }) => said.splice(0).forEach(receive));
  };
  if (hub.options.outboxStore) prepare();

  return {
    get now() {
      return post.now;
    },
    use: post.use,
    send(room, data, how) {
      const copy = json(data);
      if (!post.now) {
        waiting += 1;
        hub.setPending(waiting);
      }
      return ask(({ send }) => send(room, copy, how?.id));
    },
    resend: (room, id) => ask(({ resend }) => resend(room, id)),
    receive(message) {
      said.push(message);
      prepare();
    },
    setTime(serverTime) {
      if (said.length === 0) early.time = serverTime;
    },
    sync(done) {
      synced = done;
      if (early.lostAt === null) done();
      else post.use(({ sync }) => sync(done));
    },
    lost() {
      // What has come and was not taken comes again.
      said = [];
      // Of several losses without a sync between them the first counts.
      early.lostAt ??= early.time;
      post.now?.lost();
    },
  };
}
