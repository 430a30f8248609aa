// Reads an event stream (WHATWG HTML section 9.2.6) piece by piece: only the data of events matters here, and whose it is.

/** Takes the pieces of a stream as they come, and gives the data of each event that is complete, and what it is called. */
export function eventReader(onData: (data: string, name: string) => void): (piece: string) => void {
  let rest = "";
  let data: string[] = [];
  let name = "";
  return (piece) => {
    // A line end may be cut in two: what is left waits for its end, and a lone CR at the end for its LF.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/u);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, field, value = ""] = /^(data|event):(?: )?(.*)$/su.exec(line) ?? [];
      if (field === "data") data.push(value);
      if (field === "event") name = value;
      if (line !== "") continue;
      if (data.length > 0) onData(data.join("\n"), name);
      data = [];
      name = "";
    }
  };
}
