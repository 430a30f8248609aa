// An event stream says the same however the network cuts it.
import fc from "fast-check";
import { expect, it } from "vitest";
import { eventReader } from "../../src/link/events.ts";

function read(pieces: readonly string[]): string[] {
  const all: string[] = [];
  const take = eventReader((data) => all.push(data));
  pieces.forEach(take);
  return all;
}

const STREAM =
  'retry: 1000\n\n: comment\nid: r;e;1\ndata: {"a":1}\n\ndata:two\r\ndata: lines\r\n\r\nevent: x\rdata: old\r\rdata\n\n';

it("reads data, whatever the line ends are", () => {
  expect(read([STREAM])).toEqual(['{"a":1}', "two\nlines", "old"]);
});

it("says what an event is called, and calls no other one so", () => {
  const all: string[][] = [];
  eventReader((...event) => all.push(event))("event: ann\ndata: 1\n\nevent: bob\n\ndata: 2\n\ndata: 3\nevent:carl\n\n");
  expect(all).toEqual([
    ["1", "ann"],
    ["2", ""],
    ["3", "carl"],
  ]);
});

it("does not care where it is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: STREAM.length }), { maxLength: 12 }), (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
      const pieces = places.slice(1).map((end, index) => STREAM.slice(places[index], end));
      expect(read(pieces)).toEqual(read([STREAM]));
    }),
  );
});
