// What the page of all parts runs in a browser: it shows a scene when it is told to.
import { createRoot } from "react-dom/client";
import { createFake, PartsPage, play, type Scene } from "./parts-page.tsx";

declare global {
  interface Window {
    /** What a test can do with the page. */
    parts: {
      readonly play: (scene: Scene) => void;
      readonly said: readonly string[];
      readonly move: (x: number) => void;
    };
  }
}

const fake = createFake();
const element = document.body.appendChild(document.createElement("div"));
createRoot(element).render(<PartsPage fake={fake} />);
window.parts = {
  play: (scene) => play(fake, scene),
  said: fake.said,
  move(x) {
    const [first, ...others] = fake.room("doc").room.snapshot.cursors;
    if (first) fake.room("doc").show({ cursors: [{ ...first, cursor: { x, y: 0.2 } }, ...others] });
  },
};
