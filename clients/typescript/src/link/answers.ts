// Who waits for the answer to what: every direct answer repeats the `ref` of its question.
import type { JsonObject } from "../api.ts";
import type { ServerMessage } from "../wire/messages.ts";

/** How many are waited for: most of what is said is answered only if it is refused. */
const MOST = 1_000;

export interface Answers {
  /** Marks a message so that `answered` hears what is answered to it. */
  readonly ask: (message: JsonObject, answered: (message: ServerMessage) => void) => JsonObject;
  /** Hands an answer on. False: nobody waits for it. */
  readonly answer: (message: ServerMessage) => boolean;
  readonly clear: () => void;
}

export function createAnswers(): Answers {
  const waiting = new Map<unknown, (message: ServerMessage) => void>();
  let last = 0;
  return {
    ask(message, answered) {
      last += 1;
      waiting.set(last, answered);
      // What nobody has answered for so long will not be.
      waiting.delete(last - MOST);
      return { ...message, ref: last };
    },
    answer(message) {
      const answered = waiting.get(message.ref);
      // Entering a room is answered in several messages.
      if (!message.type.startsWith("presence:")) waiting.delete(message.ref);
      answered?.(message);
      return answered !== undefined;
    },
    clear: () => waiting.clear(),
  };
}
