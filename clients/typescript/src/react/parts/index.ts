// The package's entry for parts of a page that show presence. They look like something with `parts.css`.
"use client";
export { Avatar, type AvatarProps } from "./avatar.tsx";
export { ConnectionIndicator, type ConnectionIndicatorProps } from "./connection.tsx";
export { CursorArea, type CursorAreaProps, Cursors, type CursorsProps, type CursorUnit } from "./cursors.tsx";
export { Facepile, type FacepileProps } from "./facepile.tsx";
export { OfflineBanner, type OfflineBannerProps } from "./offline.tsx";
export { RoomRoster, type RoomRosterProps } from "./roster.tsx";
export { StatusDot, type StatusDotProps } from "./status.tsx";
export { SyncStatus, type SyncStatusProps } from "./sync.tsx";
export { TypingIndicator, type TypingIndicatorProps } from "./typing.tsx";
export { english, type Words, WordsProvider, type WordsProviderProps } from "./words.tsx";
