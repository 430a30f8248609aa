// Where the others point: cursors with names, over the application's own content.
import {
  type ComponentPropsWithoutRef,
  type CSSProperties,
  memo,
  type NamedExoticComponent,
  type PointerEvent,
  type ReactNode,
  useEffect,
  useRef,
} from "react";
import type { RemoteCursor } from "../../api.ts";
import { useRoom } from "../context.tsx";
import { useCursors } from "../hooks.ts";
import { personStyle } from "./avatar.tsx";

/** What the numbers of a cursor are: pixels, or fractions of the area. */
export type CursorUnit = "px" | "fraction";

/** What {@link Cursors} is given, beside what any `div` takes. */
export interface CursorsProps extends Omit<ComponentPropsWithoutRef<"div">, "children"> {
  /** Default: `px`. */
  readonly unit?: CursorUnit;
  /** What to draw for a cursor. Default: an arrow with the user's name. */
  readonly children?: ((cursor: RemoteCursor) => ReactNode) | undefined;
}

/** As large as the area, and what its cursors measure themselves by. */
const OVER: CSSProperties = {
  position: "absolute",
  inset: 0,
  overflow: "hidden",
  containerType: "size",
  pointerEvents: "none",
};

/** Of no size itself: many cursors are not to cost many large layers. */
const CORNER: CSSProperties = { position: "absolute", top: 0, left: 0 };

/**
 * Where the others point, in an element that is placed over the nearest positioned one. The names of those who are here
 * are elsewhere; this is for eyes only, so that nobody has to listen to pointers.
 */
export function Cursors({ unit = "px", children, style, ...rest }: CursorsProps): ReactNode {
  const cursors = useCursors();
  return (
    <div aria-hidden="true" {...rest} data-presence="cursors" style={{ ...OVER, ...style }}>
      {cursors.map((cursor) => (
        <Pointer key={cursor.key} cursor={cursor} unit={unit} draw={children} />
      ))}
    </div>
  );
}

interface PointerProps {
  readonly cursor: RemoteCursor;
  readonly unit: CursorUnit;
  readonly draw: CursorsProps["children"];
}

/** One cursor. The others are not drawn again when it moves; the stylesheet smooths its way. */
const Pointer: NamedExoticComponent<PointerProps> = /* @__PURE__ */ memo(({ cursor, unit, draw }: PointerProps) => {
  const { x, y, visible } = cursor.cursor;
  if (visible === false) return null;
  const place = unit === "px" ? `translate(${x}px, ${y}px)` : `translate(${x * 100}cqw, ${y * 100}cqh)`;
  return (
    <div data-presence="cursor" style={{ ...CORNER, ...personStyle(cursor.user.color), transform: place }}>
      {draw ? draw(cursor) : <Arrow name={cursor.user.name} />}
    </div>
  );
});

function Arrow({ name }: { readonly name: string }): ReactNode {
  return (
    <>
      <svg
        data-presence="arrow"
        width="18"
        height="20"
        viewBox="0 0 18 20"
        fill="var(--presence-color)"
        aria-hidden="true"
      >
        <path d="M1 1l15.5 7.2-6.6 2.3-3.2 7z" stroke="var(--presence-on-color)" strokeLinejoin="round" />
      </svg>
      <bdi data-presence="cursor-name">{name}</bdi>
    </>
  );
}

/** What {@link CursorArea} is given, beside what any `div` takes. */
export interface CursorAreaProps extends ComponentPropsWithoutRef<"div"> {
  /** What to draw for a cursor. Default: an arrow with the user's name. */
  readonly draw?: ((cursor: RemoteCursor) => ReactNode) | undefined;
}

/** An area in which everybody sees where the others point, in fractions: it need not have the same size for all. */
export function CursorArea({
  draw,
  children,
  style,
  onPointerMove,
  onPointerLeave,
  ...rest
}: CursorAreaProps): ReactNode {
  const room = useRoom();
  const points = useRef(false);
  const point = (event: PointerEvent<HTMLDivElement>): void => {
    onPointerMove?.(event);
    const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    points.current = true;
    room.cursor({ x: (event.clientX - left) / width, y: (event.clientY - top) / height });
  };
  useEffect(
    () => () => {
      if (points.current) room.cursor(null);
      points.current = false;
    },
    [room],
  );
  return (
    <div
      {...rest}
      data-presence="cursor-area"
      style={{ position: "relative", ...style }}
      onPointerMove={point}
      onPointerLeave={(event) => {
        onPointerLeave?.(event);
        points.current = false;
        room.cursor(null);
      }}
    >
      {children}
      <Cursors unit="fraction">{draw}</Cursors>
    </div>
  );
}
