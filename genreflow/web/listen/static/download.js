/** Results as files: JSON of what the server answered, and its CSV lines under one head. */

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Return a name without characters that file systems or people trip over. */
function fileName(name) {
  const base = name.replace(/\.[^.]{1,5}$/, "").replace(/[^\p{L}\p{N}._ -]+/gu, "_");
  return base.replace(/^[. ]+/, "").slice(0, 80) || "song";
}

/** Save results without what only the page draws. */
export function saveJson(name, results) {
  const kept = results.map(({ sound, csv, ...rest }) => rest);
  save(`${fileName(name)}.json`, "application/json", `${JSON.stringify(kept, null, 2)}\n`);
}

/** Save results as one table; the server wrote the cells, so that none is a formula. */
export function saveCsv(name, columns, results) {
  save(`${fileName(name)}.csv`, "text/csv", `${columns}\r\n${results.map((one) => one.csv).join("")}`);
}
