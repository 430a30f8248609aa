// A network in the test's hands, between a client and a real server: it can be cut, and go silent.
import { connect, createServer, type Socket } from "node:net";

export interface Network {
  readonly url: string;
  /** Ends every connection, as a router that has been switched off and on; new ones pass. */
  readonly cut: () => void;
  /** Lets nothing through until `heal`; those who connect are refused. */
  readonly fail: () => void;
  readonly heal: () => void;
  readonly close: () => Promise<void>;
}

export async function networkTo(target: string): Promise<Network> {
  const { port } = new URL(target);
  const sockets = new Set<Socket>();
  let isDown = false;
  const server = createServer((near) => {
    if (isDown) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(Number(port), "127.0.0.1");
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => sockets.delete(one));
      one.pipe(other);
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut,
    fail() {
      isDown = true;
      cut();
    },
    heal() {
      isDown = false;
    },
    async close() {
      cut();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}
