// Several tabs of one user with a server in a few lines: what the tests of tabs begin with.
import { type Client, type ClientOptions, createClient, type Message, type Room } from "../../../src/index.ts";
import { shareTabs } from "../../../src/tabs.ts";
import { asAnn, createWorld, type World } from "../world.ts";
import { type Browser, createBrowser, type Tab } from "./browser.ts";
import { createServer, type Server } from "./server.ts";

export interface OpenTab extends Tab {
  readonly client: Client;
  readonly room: Room;
  readonly got: Message[];
}

export interface Scene {
  readonly world: World;
  readonly browser: Browser;
  readonly server: Server;
  readonly open: (more?: Partial<ClientOptions>) => OpenTab;
}

export function scene(): Scene {
  const world = createWorld();
  const server = createServer(world);
  const browser = createBrowser(world, server.fetch);
  return {
    world,
    browser,
    server,
    open(more) {
      const tab = browser.open();
      const client = createClient({
        ...(more && "token" in more ? { url: asAnn.url } : asAnn),
        transport: "sse",
        sessionId: `tab-${tab.number}`,
        tabs: shareTabs({ outside: tab.outside }),
        env: tab.env,
        ...more,
      } as ClientOptions);
      const room = client.room("r");
      const got: Message[] = [];
      room.on("message", (message) => got.push(message));
      return { ...tab, client, room, got };
    },
  };
}
