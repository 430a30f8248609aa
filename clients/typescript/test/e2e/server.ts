// A real server for tests: started on a free port of this machine, and stopped as operators and accidents do.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { resolve } from "node:path";

const TARGET = resolve(import.meta.dirname, "../../../../target");

/** The server's binary: what `PRESENCE_SERVER` names, or what was built here. */
export function binary(): string {
  const built = ["release", "debug"].map((kind) => `${TARGET}/${kind}/presence-server`);
  const found = process.env["PRESENCE_SERVER"] ?? built.find(existsSync);
  if (found === undefined) throw new Error("build the server first, or set PRESENCE_SERVER to its binary");
  return found;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise<void>((done) => server.close(() => done()));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export interface RealServer {
  readonly url: string;
  readonly start: () => Promise<void>;
  /** As an operator does: clients are told when to come back. */
  readonly stop: () => Promise<void>;
  /** As an accident does. */
  readonly kill: () => Promise<void>;
}

export async function realServer(...flags: string[]): Promise<RealServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | null = null;

  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const running = child;
    child = null;
    if (!running || running.exitCode !== null) return;
    const gone = new Promise((done) => running.once("exit", done));
    running.kill(signal);
    await gone;
  };

  const isReady = (): Promise<boolean> =>
    fetch(`${url}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );

  return {
    url,
    async start() {
      const running = spawn(binary(), ["--listen", `127.0.0.1:${port}`, "--log-level", "error", ...flags], {
        stdio: ["ignore", "ignore", "inherit"],
        // Variables named like this one are the server's settings.
        env: { PATH: process.env["PATH"] },
      });
      child = running;
      while (!(await isReady())) {
        if (running.exitCode !== null) throw new Error("the server did not start");
        await new Promise((done) => setTimeout(done, 50));
      }
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };
}

/** Waits until something holds; tells what it was if it never does. */
export async function until(what: string, holds: () => boolean, time = 10_000): Promise<void> {
  const end = Date.now() + time;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}
