// A user as a small picture: their avatar, or their initials on their colour.
import { type ComponentPropsWithoutRef, type CSSProperties, type ReactNode, useState } from "react";
import type { User } from "../../api.ts";
import { useWords } from "./words.tsx";

/** A style with a user's colour, and one that can be read on it. */
export interface PersonStyle extends CSSProperties {
  readonly "--presence-color": string;
  readonly "--presence-on-color": string;
}

/** Colours come from others, so only `#rgb` and `#rrggbb` are taken: anything else might be more than a colour. */
export function personStyle(color: string): PersonStyle {
  const digits = /^#(?:[\da-f]{3}){1,2}$/iu.test(color) ? color.slice(1) : "5c636b";
  const size = digits.length / 3;
  const [red = 0, green = 0, blue = 0] = [0, 1, 2].map((at) => {
    const part = digits.slice(at * size, at * size + size);
    const value = Number.parseInt(size === 1 ? part + part : part, 16) / 255;
    return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  // Where black and white are read equally well, at a contrast of 4.58.
  const isLight = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
  return { "--presence-color": `#${digits}`, "--presence-on-color": isLight ? "#000" : "#fff" };
}

/** The first letters of the first and the last word; a letter is whatever a reader takes for one. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters
    .map((word) => first(word ?? ""))
    .join("")
    .toLocaleUpperCase();
}

function first(word: string): string {
  // Old browsers have no segmenter: there a letter is a code point.
  if (typeof Intl.Segmenter !== "function") return Array.from(word)[0] ?? "";
  return new Intl.Segmenter().segment(word)[Symbol.iterator]().next().value?.segment ?? "";
}

/** What {@link Avatar} is given, beside what any `span` takes. */
export interface AvatarProps extends Omit<ComponentPropsWithoutRef<"span">, "children"> {
  readonly user: User;
}

/** A user as a picture, or as initials while there is none or it does not load. */
export function Avatar({ user, style, ...rest }: AvatarProps): ReactNode {
  const words = useWords();
  const [broken, setBroken] = useState<string | null>(null);
  const { name, avatar, status } = user;
  return (
    <span
      role="img"
      aria-label={`${name}, ${words.status(status)}`}
      title={name}
      {...rest}
      data-presence="avatar"
      data-status={status}
      style={{ ...personStyle(user.color), ...style }}
    >
      {avatar !== null && avatar !== broken ? (
        <img
          src={avatar}
          alt=""
          draggable={false}
          decoding="async"
          // Whoever serves the picture need not know the page.
          referrerPolicy="no-referrer"
          onError={() => setBroken(avatar)}
        />
      ) : (
        initials(name)
      )}
    </span>
  );
}
