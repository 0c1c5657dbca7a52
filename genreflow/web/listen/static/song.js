/** The card of one song: waiting, an error, or what the model heard. */

import { announce, bar, clock, element, percent, printable } from "../dom.js";
import { saveCsv, saveJson } from "./download.js";
import { versionName } from "./names.js";
import { Player } from "./player.js";
import { tables } from "./tables.js";

let made = 0;

export class SongCard {
  /**
   * @param {File} file the user's own; it is played from the disk
   * @param {{onRemove: function(), onRetry: function(), onCompare: function()}} listeners
   */
  constructor(file, listeners) {
    this.file = file;
    this.listeners = listeners;
    this.name = printable(file.name);
    this.result = null;
    this.compared = this.removed = false;
    this.cancel = () => {};
    this.title = `song-${made++}`;
    this.meta = element("p.meta");
    this.actions = element("div.actions");
    this.body = element("div");
    this.node = element("article.card.song", { "aria-labelledby": this.title },
      element("header", {},
        element("div", {}, element("h3", { id: this.title }, element("bdi", {}, this.name)), this.meta),
        this.actions),
      this.body);
  }

  showWaiting(why = "") {
    this.#actions(["Cancel", this.listeners.onRemove]);
    this.note = element("span", {}, why ? printable(why) : "waiting");
    this.sent = element("progress", { max: 1, "aria-label": `Sending ${this.name}`, hidden: true });
    this.body.replaceChildren(
      element("p.waiting", {}, element("span.busy", { "aria-hidden": "true" }), this.note),
      this.sent);
  }

  showSent(bytes, total) {
    // Short songs are sent before anyone could read it.
    this.note.textContent = `sending, ${percent(total ? bytes / total : 0)}`;
    this.sent.hidden = total < 4e6;
    this.sent.value = total ? bytes / total : 0;
  }

  showListening() {
    this.note.textContent = "listening";
    this.sent.hidden = true;
  }

  showError(message, canRetry) {
    this.#actions(...(canRetry ? [["Retry", this.listeners.onRetry]] : []),
      ["Remove", this.listeners.onRemove]);
    this.body.replaceChildren(element("p.notice.bad", {}, printable(message)));
    announce(`${this.name}: ${printable(message)}`);
  }

  showResult(result) {
    this.result = result;
    const { answers, seconds } = result;
    const [first] = answers;
    const windows = `${first.windows} windows of ${first.model.window_s} s`;
    this.meta.textContent = [clock(seconds), windows, ...answers.map(versionName),
      answers.length > 1 ? "" : onTest(first),
      `analysed in ${result.elapsed_s.toFixed(1)} s`].filter(Boolean).join(" · ");
    this.toggle = element("button.small", { type: "button", "aria-pressed": "false",
      onclick: () => this.#compare() }, "Compare");
    this.#actions(
      ["JSON", () => saveJson(this.name, [this.result])],
      ["CSV", () => saveCsv(this.name, document.getElementById("drop").dataset.csvColumns, [this.result])],
      ["Remove", this.listeners.onRemove]);
    this.actions.prepend(this.toggle);
    this.player = new Player(this.file, result, this.name);
    this.body.replaceChildren(
      ...this.#warnings(answers),
      element("div.verdicts", {}, ...answers.map((answer, index) => verdict(answer, index, answers.length))),
      genres(answers),
      this.player.node,
      tables(result, this.name));
    announce(`${this.name}: ${answers.map((answer) => spoken(answer)).join("; ")}`);
  }

  dispose() {
    this.removed = true;
    this.cancel();
    this.player?.dispose();
    this.node.remove();
  }

  #compare() {
    this.compared = !this.compared;
    this.toggle.setAttribute("aria-pressed", String(this.compared));
    this.listeners.onCompare();
  }

  #actions(...pairs) {
    this.actions.replaceChildren(...pairs.map(([text, onclick]) => element("button.small",
      { type: "button", onclick }, text, element("span.unseen", {}, ` ${this.name}`))));
  }

  #warnings(answers) {
    const texts = new Set(answers.flatMap((answer) => answer.warnings));
    if (answers[0].model_trained_on_synthetic_data) {
      texts.add("This model was trained on synthetic music: what it says about real songs means little.");
    }
    const left = Object.values(answers[0].windows_left_out).reduce((sum, count) => sum + count, 0);
    if (left) texts.add(`${left} of ${answers[0].windows} windows do not count: they are silent, or their channels cancel each other.`);
    return [...texts].map((text) => element("p.notice.note", {}, printable(text)));
  }
}

function best(answer) {
  return Object.entries(answer.probabilities)[0];
}

function spoken(answer) {
  const [genre, probability] = best(answer);
  return `${printable(genre)}, ${percent(probability)}`;
}

function verdict(answer, index, count) {
  const [genre, probability] = best(answer);
  return element("p.verdict", {},
    count > 1 ? element("span.of", {},
      element(`span.swatch${index ? ".second" : ""}`, { "aria-hidden": "true" }),
      [versionName(answer), onTest(answer)].filter(Boolean).join(", ")) : null,
    element("bdi", {}, printable(genre)), " ", element("span.share.number", {}, percent(probability)));
}

/** Return how often a version was right on its test songs; "" if that is not known. */
function onTest(answer) {
  const share = answer.model.evaluation?.accuracy ?? null;
  return share === null ? "" : `right on ${percent(share)} of its test songs`;
}

/** Return the genres as bars, by the first version's order. */
function genres(answers) {
  const names = new Set(answers.flatMap((answer) => Object.keys(answer.probabilities)));
  return element("ol.genres", { "aria-label": "Genres by probability" }, ...[...names].map((name) => {
    const shares = answers.map((answer) => answer.probabilities[name] ?? 0);
    return element("li", {},
      element("bdi.name", {}, printable(name)),
      element("div.bars", {}, ...shares.map((share, index) => bar(share, index ? "second" : ""))),
      element("div.number", {}, ...shares.map((share) => element("div", {}, percent(share)))));
  }));
}
