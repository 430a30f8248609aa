// @vitest-environment happy-dom
// Pages that are prepared on a server: they say nothing to anybody, and a browser takes them over without a difference.
import { act, type ReactNode } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { expect, test, vi } from "vitest";
import {
  PresenceProvider,
  Room,
  useConnection,
  useMe,
  useRoom,
  useSnapshot,
  useStatus,
  useUsers,
} from "../../../src/react/index.ts";
import { createFake, person } from "./fake.ts";

function Everything(): ReactNode {
  const users = useUsers((all) => all.map((user) => user.name));
  const id = useSnapshot(useRoom(), (snapshot) => snapshot.id);
  return JSON.stringify([id, users, useMe()[0].id, useConnection().status, useStatus("bob")]);
}

test("a prepared page shows nobody, asks nothing, and is taken over as it is", () => {
  const fake = createFake();
  // What the client has already is not to be in the first picture: the server did not have it.
  fake.room("doc").show({ users: [person("Ann")], stale: true });
  const page = (
    <PresenceProvider client={fake.client}>
      <Room id="doc">
        <Everything />
      </Room>
    </PresenceProvider>
  );
  const html = renderToString(page);
  expect(html).toBe("[&quot;doc&quot;,[],null,&quot;idle&quot;,null]");
  expect(fake.said).toEqual([]);
  expect(fake.held()).toEqual({ watchers: 0, listeners: 0, handlers: 0 });

  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  const complaints = vi.spyOn(console, "error");
  const element = document.createElement("div");
  element.innerHTML = html;
  act(() => void hydrateRoot(element, page));
  expect(complaints).not.toHaveBeenCalled();
  expect(element.textContent).toBe('["doc",["Ann"],null,"idle",null]');
  expect(fake.said).toEqual(["join doc null"]);
});
