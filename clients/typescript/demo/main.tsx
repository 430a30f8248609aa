// Starts the page: who this is, a client for the server that the page came from, and what it shows.
import { createRoot } from "react-dom/client";
import { createClient } from "../src/index.ts";
import { createPeople } from "../src/people.ts";
import { shareTabs } from "../src/tabs.ts";
import { readAddress } from "./address.ts";
import { App } from "./app.tsx";
import { identify } from "./identity.ts";
import { createKept, tabStorage } from "./kept.ts";

const storage = tabStorage();
const { transport, token, user, isCrowd } = readAddress(location);
const self = identify(user, storage);

const client = createClient({
  ...(token === null ? { user: self } : { token }),
  // The server may be behind a path of a larger site: it is where the page is.
  url: new URL(".", location.href),
  transport,
  tabs: shareTabs(),
  outboxStore: createKept(`presence.outbox ${self.id}`, storage),
});

const page = document.getElementById("page");
if (page) createRoot(page).render(<App client={client} people={createPeople(client)} isCrowd={isCrowd} />);
