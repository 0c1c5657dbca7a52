/** Two songs side by side: their genres, and how far apart they are. */

import { bar, element, percent, printable } from "../dom.js";
import { versionName } from "./names.js";

/** Show the comparison of the first two songs, or what is missing for one. */
export function showComparison(place, cards) {
  place.hidden = !cards.length;
  place.className = "card";
  const title = element("h2", { id: "comparison-title" }, "Two songs compared");
  if (cards.length !== 2) {
    const left = cards.length < 2 ? "Choose another song with its button “Compare”."
      : "Two songs can be compared; choose fewer.";
    place.replaceChildren(title, element("p.quiet", { role: "status" }, left));
    return;
  }
  const answers = cards.map((card) => card.result.answers[0]);
  const names = [...new Set(answers.flatMap((answer) => Object.keys(answer.probabilities)))];
  const rows = names.map((name) => [name, ...answers.map((answer) => answer.probabilities[name] ?? 0)])
    .sort((a, b) => Math.max(b[1], b[2]) - Math.max(a[1], a[2]));
  const alike = rows.reduce((sum, [, a, b]) => sum + Math.min(a, b), 0);
  place.replaceChildren(title,
    element("p", {}, `Their genres overlap by ${percent(alike)}.`),
    element("div.scroll", { tabindex: 0, role: "region", "aria-label": "Comparison of two songs" },
      element("table", {},
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "genre"),
          ...cards.map((card, index) => element("th", { scope: "col" },
            element(`span.swatch${index ? ".second" : ""}`, { "aria-hidden": "true" }),
            element("bdi", {}, card.name), element("div.quiet.small", {}, versionName(answers[index])))),
          element("th.number", { scope: "col" }, "difference"))),
        element("tbody", {}, ...rows.map(([name, a, b]) => element("tr", {},
          element("th", { scope: "row" }, element("bdi", {}, printable(name))),
          element("td.number", {}, percent(a), bar(a)),
          element("td.number", {}, percent(b), bar(b, "second")),
          element("td.number", {}, difference(b - a))))))));
}

function difference(share) {
  const points = (100 * Math.abs(share)).toFixed(1);
  return points === "0.0" ? points : `${share > 0 ? "+" : "−"}${points}`;
}
