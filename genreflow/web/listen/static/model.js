/** What is known of the model: its version, its data, its accuracy, its card. */

import { element, percent, printable } from "../dom.js";

/** Show the facts of the server's answer to "/listen/api/model". */
export function showModel(place, { model, address, versions }) {
  const open = place.querySelector("details")?.open ?? false;
  place.hidden = false;
  place.replaceChildren(
    element("h2", { id: "model-title" }, "The model"),
    facts([
      ["Version", model.version === null ? "not told by this server" : String(model.version)],
      ["Network", model.architecture || "unknown"],
      ["Trained on", model.trained_on || "not told by its card"],
      ["Test accuracy", accuracy(model.evaluation)],
      ["Genres", model.genres.join(", ")],
      ["Hears", `windows of ${model.window_s} s at ${(model.sample_rate_hz / 1000).toLocaleString("en")} kHz`],
      ["Server", address ? `${address}${versions.length > 1 ? `, which serves versions ${versions.join(" and ")}` : ""}` : "on this machine"],
      ...decision(model.evaluation),
    ]),
    model.card ? card(model, open)
      : element("p.quiet", {}, "The model has no card that this page can read."));
}

function accuracy(evaluation) {
  if (evaluation?.problem) return evaluation.problem;
  if (!evaluation || evaluation.accuracy === null) {
    return "not stored with this version, or not told by its server";
  }
  const { accuracy: value, low, high, tracks } = evaluation;
  return `${percent(value)} of ${tracks.toLocaleString("en")} test tracks (95 % interval: ${percent(low)} to ${percent(high)})`;
}

function decision(evaluation) {
  if (!evaluation) return [];
  const rows = [];
  if (evaluation.pushed_at) rows.push(["Pushed", `${evaluation.pushed_at}${evaluation.run ? `, by run ${evaluation.run}` : ""}`]);
  if (evaluation.copy_of !== null) rows.push(["Rolled back", `these are the files of version ${evaluation.copy_of}`]);
  if (evaluation.decision) rows.push(["Gate", evaluation.decision]);
  return rows;
}

function facts(pairs) {
  return element("dl.facts", {}, ...pairs.flatMap(([name, text]) =>
    [element("dt", {}, printable(name)), element("dd", {}, element("bdi", {}, printable(text)))]));
}

function card(model, open) {
  const { card: shown, evaluation } = model;
  return element("details", { open }, element("summary", {}, "Its card"),
    element("h3", {}, "Meant for"), element("p", {}, shown.intended),
    element("h3", {}, "Not meant for"), element("p", {}, shown.not_intended),
    element("h3", {}, "Limits"), element("ul", {}, ...shown.limits.map((text) => element("li", {}, printable(text)))),
    element("h3", {}, "Licence of the data"), element("p", {}, printable(shown.licence)),
    element("h3", {}, "Facts"), facts(shown.rows),
    evaluation?.rules.length ? element("div", {}, element("h3", {}, "The gate's rules"), element("ul.rules", {},
      ...evaluation.rules.map(([name, outcome, text]) => element("li", {},
        element(`span.tag${{ pass: ".good", fail: ".bad" }[outcome] ?? ""}`, {}, `${printable(name)}: ${printable(outcome)}`), " ", printable(text))))) : null,
    shown.settings.length ? element("div", {}, element("h3", {}, "Training settings"), facts(shown.settings)) : null);
}
