/** Player with the waveform, the spectrogram and the genres over time, under one cursor. */

import { clock, element, percent, printable } from "../dom.js";
import { bytes, drawSpectrogram } from "../picture.js";
import { versionName } from "./names.js";

const MAX_LANES = 8;
const ROW_REM = 1.5;
const STEP_S = 5;
// A song stays a song at its end: so far before it, it has not ended.
const END_S = 0.05;
const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Player {
  /** @param {File} file @param {Object} result the server's answer @param {string} name printable */
  constructor(file, result, name) {
    this.result = result;
    this.seconds = result.seconds;
    this.position = 0;
    this.pending = false; // a seek that waits for another
    this.address = URL.createObjectURL(file);
    // It comes from the user's own disk.
    this.audio = element("audio", { controls: true, preload: "auto", "aria-label": `Player of ${name}` });
    this.audio.src = this.address;
    this.peaks = new Int8Array(bytes(result.sound.peaks).buffer);
    this.wave = element("canvas.wave", { role: "img", "aria-label": this.#waveText() });
    this.lanes = result.answers.map((answer) => this.#lanes(answer));
    this.cursor = element("div.cursor");
    this.seek = element("div.seek", {
      role: "slider", tabindex: 0, "aria-label": `Position in ${name}`,
      "aria-valuemin": 0, "aria-valuemax": this.seconds.toFixed(1), "aria-orientation": "horizontal",
      onkeydown: (event) => this.#press(event),
      onpointerdown: (event) => this.#drag(event),
      onpointermove: (event) => { if (event.buttons) this.#drag(event); },
    }, this.cursor);
    this.now = element("p.now", { "aria-hidden": "true" });
    this.axis = element("div.axis", { "aria-hidden": "true" });
    this.stage = element("div.stage", {},
      element("div.side", {}, element("span", {}, "waveform")), this.wave,
      this.#hertz(), this.#spectrogram(),
      ...this.lanes.flatMap(({ title, side, canvas }) => [title, side, canvas].filter(Boolean)),
      this.seek);
    this.node = element("figure.player", {}, this.audio, this.stage, this.axis, this.now, this.#legend());
    this.audio.addEventListener("timeupdate", () => this.#follow());
    this.audio.addEventListener("loadedmetadata", () => {
      if (this.position) this.move(this.position); // chosen before
    });
    this.audio.addEventListener("seeked", () => { if (this.pending) this.#seek(); else this.#follow(); });
    this.audio.addEventListener("play", () => this.#run());
    this.audio.addEventListener("error", () => this.#unplayable());
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.stage);
    this.redraw = () => this.#draw();
    dark.addEventListener("change", this.redraw);
    this.#show();
  }

  dispose() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    URL.revokeObjectURL(this.address);
    this.observer.disconnect();
    dark.removeEventListener("change", this.redraw);
  }

  /** Move to a time in seconds, in the song and on the page. */
  move(seconds) {
    this.position = Math.max(0, Math.min(this.seconds, seconds));
    this.#show();
    this.#seek();
  }

  /** Seek in the song, one seek at a time: Chromium may hang in one that another interrupts. */
  #seek() {
    if (this.audio.error || !this.audio.readyState) return;
    this.pending = this.audio.seeking;
    if (!this.pending) this.audio.currentTime = Math.min(this.position, this.audio.duration - END_S);
  }

  #follow() {
    if (this.audio.error || this.audio.seeking || this.pending) return;
    this.position = Math.min(this.seconds, this.audio.currentTime);
    this.#show();
  }

  #run() {
    if (still.matches) return; // "timeupdate" moves it four times a second
    const step = () => {
      if (this.audio.paused) return;
      this.#follow();
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #press(event) {
    const moves = {
      ArrowRight: this.position + STEP_S, ArrowUp: this.position + STEP_S,
      ArrowLeft: this.position - STEP_S, ArrowDown: this.position - STEP_S,
      PageUp: this.position + 6 * STEP_S, PageDown: this.position - 6 * STEP_S,
      Home: 0, End: this.seconds,
    };
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " " || event.key === "Enter") {
      if (this.audio.paused) this.audio.play().catch(() => {}); else this.audio.pause();
    } else if (event.key in moves) {
      this.move(moves[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  }

  #drag(event) {
    if (event.button > 0) return;
    if (event.type === "pointerdown") this.seek.setPointerCapture(event.pointerId);
    const box = this.seek.getBoundingClientRect();
    this.move(((event.clientX - box.left) / box.width) * this.seconds);
  }

  #unplayable() {
    this.audio.hidden = true;
    this.stage.before(element("p.notice.note", {},
      "Your browser does not play this format. The analysis is complete: click below for the genre at any moment."));
  }

  /** Show the position: the cursor, and the genre at that moment. */
  #show() {
    this.cursor.style.left = `${(100 * this.position) / (this.seconds || 1)}%`;
    const texts = this.result.answers.map((answer) => this.#at(answer));
    const where = `${clock(this.position)} of ${clock(this.seconds)}`;
    this.seek.setAttribute("aria-valuenow", this.position.toFixed(1));
    this.seek.setAttribute("aria-valuetext", `${where}: ${texts.join("; ")}`);
    this.now.replaceChildren(element("span.number", {}, clock(this.position)),
      ...texts.map((text) => element("bdi", {}, text)));
  }

  /** Return the most probable genre of a version at the position, in words. */
  #at(answer) {
    const windows = answer.window_probabilities;
    const shown = windows.find((one) => this.position < one.end_s)
      ?? (this.position - windows.at(-1).end_s < END_S ? windows.at(-1) : null);
    const name = this.result.answers.length > 1 ? `${versionName(answer)}: ` : "";
    if (!shown) return `${name}rest of the song, shorter than a window`;
    if (!shown.probabilities) return `${name}left out, silent`;
    const [genre, probability] = Object.entries(shown.probabilities).reduce((a, b) => (b[1] > a[1] ? b : a));
    return `${name}${printable(genre)} ${percent(probability)}`;
  }

  #hertz() {
    const side = element("div.side.hz", { "aria-hidden": "true" });
    let last = -1;
    for (const { hz, height } of this.result.sound.ticks) {
      if (height - last < 0.13) continue; // they would touch
      last = height;
      const tick = element("i", {}, hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`);
      tick.style.bottom = `${100 * height}%`;
      side.append(tick);
    }
    return side;
  }

  #spectrogram() {
    const { sound } = this.result;
    const canvas = element("canvas.mel", { role: "img", "aria-label":
      `Mel spectrogram from 0 to ${(sound.top_hz / 1000).toFixed(1)} kHz; its numbers are in the table below` });
    drawSpectrogram(canvas, bytes(sound.levels), sound.bands);
    canvas.style.width = `${(100 * sound.spectrogram_s) / this.seconds}%`;
    return element("div.mel-frame", {}, canvas);
  }

  #lanes(answer) {
    const genres = Object.keys(answer.probabilities).slice(0, MAX_LANES);
    const canvas = element("canvas", { role: "img", "aria-label":
      `Genres over time, ${versionName(answer)}; their numbers are in the table below` });
    canvas.style.height = `${ROW_REM * genres.length}rem`;
    const side = element("div.side", {}, ...genres.map((genre) =>
      element("span", { title: printable(genre) }, element("bdi", {}, printable(genre)))));
    const title = this.result.answers.length > 1 ? element("div.of", {}, versionName(answer)) : null;
    return { answer, genres, canvas, side, title };
  }

  #waveText() {
    const loudest = this.peaks.reduce((most, peak) => Math.max(most, Math.abs(peak)), 0) / 127;
    return `Waveform; its loudest sample is at ${(20 * Math.log10(loudest || 1e-3)).toFixed(1)} dBFS`;
  }

  #legend() {
    const ramp = element("canvas", { role: "img", "aria-label": "Colours from quiet, dark violet, to loud, yellow" });
    drawSpectrogram(ramp, Uint8Array.from({ length: 256 }, (_, index) => index), 1);
    const { sound } = this.result;
    return element("figcaption.legend", {}, element("span", {}, "−80 dB"), ramp,
      element("span", {}, `0 dB: ${sound.zero_db}`),
      sound.is_exact ? null : element("span", {}, "(drawn with usual parameters: the model does not tell its own)"));
  }

  #draw() {
    const colours = getComputedStyle(document.documentElement);
    const colour = (name) => colours.getPropertyValue(name).trim();
    this.#drawWave(colour("--fill"));
    this.lanes.forEach((lane, index) => this.#drawLanes(lane, colour(index ? "--fill-b" : "--fill"), colour("--line"), colour("--edge")));
    this.#drawAxis();
  }

  #drawWave(fill) {
    const { context, width, height } = sized(this.wave);
    const columns = this.peaks.length / 2;
    context.fillStyle = fill;
    for (let x = 0; x < width; x++) {
      const [from, to] = [Math.floor((x * columns) / width), Math.max(Math.floor(((x + 1) * columns) / width), Math.floor((x * columns) / width) + 1)];
      let [low, high] = [127, -127];
      for (let column = from; column < Math.min(to, columns); column++) {
        low = Math.min(low, this.peaks[2 * column]);
        high = Math.max(high, this.peaks[2 * column + 1]);
      }
      const top = (0.5 - high / 254) * height;
      context.fillRect(x, top, 1, Math.max(1, ((high - low) / 254) * height));
    }
  }

  #drawLanes({ answer, genres, canvas }, fill, line, edge) {
    const { context, width, height } = sized(canvas);
    const row = height / genres.length;
    const scale = width / this.seconds;
    const gap = Math.max(1, Math.round(row * 0.1));
    answer.window_probabilities.forEach(({ start_s: start, end_s: end, probabilities }) => {
      const [left, right] = [start * scale, Math.max(end * scale - 1, start * scale + 1)];
      if (!probabilities) {
        context.fillStyle = edge;
        context.globalAlpha = 1;
        context.fillRect(left, height / 2, right - left, 1);
        return;
      }
      const most = Math.max(...Object.values(probabilities));
      genres.forEach((genre, index) => {
        const share = probabilities[genre];
        context.fillStyle = fill;
        context.globalAlpha = Math.min(1, 0.04 + 0.96 * share ** 0.8);
        context.fillRect(left, index * row + gap, right - left, row - 2 * gap);
        if (share === most) {
          context.globalAlpha = 1;
          context.fillRect(left, (index + 1) * row - gap - Math.max(2, gap), right - left, Math.max(2, gap));
        }
      });
    });
    context.globalAlpha = 1;
    context.fillStyle = line;
    for (let index = 1; index < genres.length; index++) context.fillRect(0, Math.round(index * row), width, 1);
  }

  #drawAxis() {
    const width = this.seek.clientWidth;
    this.axis.style.width = `${width}px`;
    const most = Math.max(2, Math.floor(width / 80));
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
    const step = steps.find((one) => this.seconds / one <= most) ?? 7200;
    const ticks = [];
    for (let second = 0; second <= this.seconds - step / 2; second += step) ticks.push(second);
    this.axis.replaceChildren(...ticks.map((second) => {
      const tick = element("i", {}, clock(second));
      tick.style.left = `${(100 * second) / this.seconds}%`;
      return tick;
    }), element("i.last", {}, clock(this.seconds)));
    this.axis.lastChild.style.left = "100%";
  }
}

/** Give a canvas one pixel for each of the screen's, and return its context and size. */
function sized(canvas) {
  const scale = devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  return { context: canvas.getContext("2d"), width: canvas.width, height: canvas.height };
}
