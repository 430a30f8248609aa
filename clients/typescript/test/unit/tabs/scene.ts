// Several tabs of one user with a server in a few lines: what the tests of tabs begin with.
import { type Client, type ClientOptions, createClient, type Message, type Room } from "../../../src/index.ts";
import { shareTabs } from "../../../src/tabs.ts";
import { createModel, type Model } from "../model.ts";
import { asAnn, createWorld, type Wire, type World } from "../world.ts";
import { type Browser, createBrowser, type Tab } from "./browser.ts";

export interface OpenTab extends Tab {
  readonly client: Client;
  readonly room: Room;
  readonly got: Message[];
}

export interface Scene {
  readonly world: World;
  readonly browser: Browser;
  readonly model: Model;
  readonly open: (more?: Partial<ClientOptions>) => OpenTab;
  /** Connections that are open. */
  readonly wires: () => readonly Wire[];
}

export function scene(): Scene {
  const world = createWorld();
  const browser = createBrowser(world);
  const model = createModel(world);
  return {
    world,
    browser,
    model,
    wires: () => world.wires.filter((wire) => wire.closedWith === null),
    open(more) {
      const tab = browser.open();
      const client = createClient({
        ...asAnn,
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
