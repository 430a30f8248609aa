// Puts components onto a page for a test, with a client around them.
import { act, type ReactNode, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import type { Client } from "../../../src/api.ts";
import { PresenceProvider } from "../../../src/react/index.ts";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

/** A page with components. */
export interface Page {
  readonly element: HTMLElement;
  readonly text: () => string;
  readonly find: (selector: string) => HTMLElement;
  readonly show: (children: ReactNode) => void;
  readonly unmount: () => void;
}

/** Lets something happen, and React draw what follows from it. */
export function happen(event: () => void): void {
  act(event);
}

export function render(client: Client, children: ReactNode, { strict = false }: { strict?: boolean } = {}): Page {
  const element = document.body.appendChild(document.createElement("div"));
  const root = createRoot(element);
  const show = (shown: ReactNode): void => {
    const page = <PresenceProvider client={client}>{shown}</PresenceProvider>;
    act(() => root.render(strict ? <StrictMode>{page}</StrictMode> : page));
  };
  show(children);
  return {
    element,
    // Names are isolated from the direction of what is around them; that is not to be seen.
    text: () => (element.textContent ?? "").replaceAll(/[\u2068\u2069]/gu, ""),
    find(selector) {
      const found = element.querySelector<HTMLElement>(selector);
      if (!found) throw new Error(`there is no ${selector} in ${element.innerHTML}`);
      return found;
    },
    show,
    unmount() {
      act(() => root.unmount());
      element.remove();
    },
  };
}
