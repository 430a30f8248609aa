// Names of properties that only files of this package know: neither its interface nor the wire nor what a browser gives
// has them. The build makes them shorter. A test looks whether they still are what they are said to be.
export const INTERNAL: readonly string[] = `
  apply ask begin changed compare confirm dial early emit facts flush forget guard hears introduce isEntering isIn isOpen
  isReplaced isSeen isTyping keepUp life lost lostAt mend move point receive received renewInTime residents roster
  selfId setPending setTime settled speak stop sync synced take tick upkeep use vacate
`
  .trim()
  .split(/\s+/u);
