// The messages of a room that are stored, in the order of their places.
import type { Message } from "../api.ts";

export interface Log {
  readonly messages: () => readonly Message[];
  readonly add: (message: Message) => void;
}

function place(message: Message): number {
  return message.delivery.state === "stored" ? message.delivery.seq : Number.POSITIVE_INFINITY;
}

/** Keeps the latest `most` messages, each once. */
export function createLog(most: number): Log {
  let messages: readonly Message[] = [];
  return {
    messages: () => messages,
    add(message) {
      const others = messages.filter((one) => one.key !== message.key);
      const after = others.findLastIndex((one) => place(one) < place(message));
      messages = [...others.slice(0, after + 1), message, ...others.slice(after + 1)].slice(-most);
    },
  };
}
