// Names of properties that only files of this package know: neither its interface nor the wire nor what a browser gives
// has them. The build makes them shorter. A test looks whether they still are what they are said to be.
export const INTERNAL: readonly string[] = `
  apply ask asking begin changed compare confirm dial early emit facts flush forget glide guard heard hears holds
  introduce isEntering isIn isMet isOpen isReplaced isSeen isTyping keepUp life lost lostAt mend point receive
  received renewInTime replaced residents roster selfId setPending setTime settled speak stop sync synced take tick
  upkeep use vacate
`
  .trim()
  .split(/\s+/u);
