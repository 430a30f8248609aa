// All files are there at once: what is left is the network.
import { it } from "vitest";
import { converge } from "./converge.ts";

it("ends in the server's view, with each message taken once and in order", async () => {
  // For the longest wait, and for a look whether all is still as it was.
  await converge(150, 200_000);
}, 120_000);
