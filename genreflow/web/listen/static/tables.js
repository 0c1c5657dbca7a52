/** What the canvases show, as tables; made when somebody opens them. */

import { clock, element, percent, printable } from "../dom.js";
import { bytes } from "../picture.js";
import { versionName } from "./names.js";

const MAX_ROWS = 600;

/** Return a folded part with the numbers of a result. */
export function tables(result, name) {
  const place = element("div.tables");
  const folded = element("details", { ontoggle: () => {
    if (folded.open && !place.childElementCount) place.append(overTime(result, name));
  } }, element("summary", {}, "Numbers over time, as a table"), place);
  return folded;
}

function overTime(result, name) {
  const { answers } = result;
  const windows = answers[0].window_probabilities.slice(0, MAX_ROWS);
  const heads = answers.flatMap((answer) => [
    answers.length > 1 ? `genre, ${versionName(answer)}` : "genre", "probability"]);
  const rest = answers[0].windows - windows.length;
  return element("div.scroll", { tabindex: 0, role: "region", "aria-label": `Numbers of ${name}` },
    element("table", {},
      element("caption", {}, element("span", {}, rest ? `The first ${windows.length} windows; the CSV file has all ${answers[0].windows}.`
        : "Each window that the model hears, and what sounds in it.")),
      element("thead", {}, element("tr", {}, ...["time", ...heads, "peak, dBFS", "strongest band, Hz"]
        .map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...windows.map((window) => row(result, window)))));
}

function row(result, window) {
  const { answers, seconds, sound } = result;
  const middle = (window.start_s + window.end_s) / 2;
  // As many as the length of a window has, at most two.
  const digits = [0, 1].find((one) => Number.isInteger(answers[0].model.window_s * 10 ** one)) ?? 2;
  const cells = answers.flatMap((answer) => {
    const found = answer.window_probabilities.find((one) => one.start_s <= middle && middle < one.end_s);
    if (!found?.probabilities) return [element("td", {}, "left out"), element("td.number", {}, "")];
    const [genre, share] = Object.entries(found.probabilities).reduce((a, b) => (b[1] > a[1] ? b : a));
    return [element("td", {}, element("bdi", {}, printable(genre))), element("td.number", {}, percent(share))];
  });
  return element("tr", {},
    element("th", { scope: "row" }, `${clock(window.start_s, digits)} - ${clock(window.end_s, digits)}`), ...cells,
    element("td.number", {}, peak(sound, window, seconds)),
    element("td.number", {}, strongest(sound, window)));
}

function peak(sound, window, seconds) {
  sound.peakBytes ??= new Int8Array(bytes(sound.peaks).buffer);
  const columns = sound.peakBytes.length / 2;
  const [from, to] = [window.start_s, window.end_s].map((time) => Math.floor((time / seconds) * columns));
  const loudest = sound.peakBytes.subarray(2 * from, 2 * Math.max(to, from + 1))
    .reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  // The | 0 is for -0.
  return loudest ? String(Math.round(20 * Math.log10(loudest / 127)) | 0) : "silent";
}

function strongest(sound, window) {
  sound.levelBytes ??= bytes(sound.levels);
  const columns = sound.levelBytes.length / sound.bands;
  const [from, to] = [window.start_s, window.end_s]
    .map((time) => Math.min(columns - 1, Math.floor((time / sound.spectrogram_s) * columns)));
  const sums = new Float64Array(sound.bands);
  for (let column = from; column <= Math.max(from, to - 1); column++) {
    for (let band = 0; band < sound.bands; band++) sums[band] += sound.levelBytes[column * sound.bands + band];
  }
  const best = sums.reduce((most, sum, band) => (sum > sums[most] ? band : most), 0);
  return sums[best] ? Math.round(sound.band_hz[best]).toLocaleString("en") : "";
}
