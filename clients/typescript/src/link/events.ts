// Reads an event stream (WHATWG HTML section 9.2.6) piece by piece: only the data of events matters here.

/** Takes the pieces of a stream as they come, and gives the data of each event that is complete. */
export function eventReader(onData: (data: string) => void): (piece: string) => void {
  let rest = "";
  let data: string[] = [];
  return (piece) => {
    // A line end may be cut in two: what is left waits for its end, and a lone CR at the end for its LF.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/u);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "" && data.length > 0) {
        onData(data.join("\n"));
        data = [];
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
  };
}
