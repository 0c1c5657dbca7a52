/** The page: songs are chosen, dropped or recorded, sent two at a time, and shown as they come. */

import { announce, clock, element, printable, request } from "../dom.js";
import { showComparison } from "./compare.js";
import { saveCsv, saveJson } from "./download.js";
import { showModel } from "./model.js";
import { Recorder } from "./recorder.js";
import { SongCard } from "./song.js";

const AT_ONCE = 2;
const MAX_RETRIES = 150;
const place = (id) => document.getElementById(id);
const drop = place("drop");
const maxBytes = Number(drop.dataset.maxBytes);
const cards = [];
const queue = [];
let running = 0;

// --- the model ------------------------------------------------------------------------------

let shownState = "";

async function pollModel() {
  let wait = 20;
  if (!document.hidden) {
    let found;
    try {
      found = await request("/listen/api/model");
    } catch (error) {
      found = { state: "unavailable", message: error.message, versions: [], model: null };
    }
    showState(found);
    if (found.state !== "ready") wait = 2;
  }
  setTimeout(pollModel, wait * 1000);
}

function showState(found) {
  const signature = JSON.stringify(found);
  if (signature === shownState) return;
  shownState = signature;
  const version = found.model?.version;
  const texts = {
    ready: `model ready${version ? `, version ${version}` : ""}`,
    starting: "the model is loading",
    unavailable: "no model",
  };
  const state = place("state");
  state.textContent = texts[found.state];
  state.className = `tag ${{ ready: "good", unavailable: "bad" }[found.state] ?? ""}`;
  const problem = place("problem");
  problem.replaceChildren();
  if (found.state === "unavailable") {
    problem.append(element("p.notice.bad", {}, printable(found.message)));
  }
  if (found.model) {
    showModel(place("model"), found);
    showVersions(found);
  }
}

function showVersions(found) {
  const [version, other] = [place("version"), place("other")];
  const [chosen, compared] = [version.value, other.value];
  const numbered = found.versions.map((number) => [String(number), `version ${number}`]);
  const standard = found.choice === "newest" ? "newest" : found.choice.replace("label:", "label ");
  fill(version, [["", standard], ...numbered], chosen);
  fill(other, [["", "nothing"], ...numbered, ["label:", "a label ..."]], compared);
  place("versions").hidden = false;
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

function choices() {
  const other = place("other").value;
  const label = place("label").value.trim();
  const second = other === "label:" ? (label ? `label:${label}` : "") : other;
  return second ? [place("version").value, second] : [place("version").value];
}

place("other").addEventListener("change", () => {
  place("labels").hidden = place("other").value !== "label:";
  if (!place("labels").hidden) place("label").focus();
});
place("versions").addEventListener("submit", (event) => event.preventDefault());

// --- songs ----------------------------------------------------------------------------------

function add(files) {
  for (const file of files) {
    const card = new SongCard(file, {
      onRemove: () => remove(card),
      onRetry: () => start(card),
      onCompare: compare,
    });
    cards.unshift(card);
    place("songs").prepend(card.node);
    start(card);
  }
  showAll();
}

function start(card) {
  card.showWaiting();
  if (card.file.size > maxBytes) {
    card.showError(`the file has ${Math.ceil(card.file.size / 2 ** 20)} MiB; this page takes at most ` +
      `${maxBytes >> 20} MiB. Choose a shorter song or a compressed format (mp3, Ogg, FLAC).`, false);
    return;
  }
  queue.push({ card, choices: choices() });
  pump();
}

function pump() {
  while (running < AT_ONCE && queue.length) {
    const { card, choices: asked } = queue.shift();
    if (card.removed) continue;
    running += 1;
    send(card, asked).finally(() => { running -= 1; pump(); });
  }
}

async function send(card, asked) {
  for (let attempt = 0; attempt < MAX_RETRIES && !card.removed; attempt++) {
    const { status, answer, retryAfter } = await post(card, asked);
    if (card.removed) return;
    if (status === 200) {
      card.showResult(answer);
      showAll();
      compare();
      return;
    }
    const message = answer?.error ?? (status ? `the server answered with status ${status}` :
      "the connection broke off; is `genreflow web` still running?");
    if (!retryAfter) {
      card.showError(message, status !== 422);  // 422: the file itself cannot be read
      return;
    }
    card.showWaiting(message);
    await new Promise((done) => { setTimeout(done, 1000 * retryAfter); });
  }
  if (!card.removed) card.showError("the server stayed busy; retry later", true);
}

/** Send a song as it is: the body is the file, and a header its name. */
function post(card, asked) {
  return new Promise((done) => {
    const sending = new XMLHttpRequest();
    const query = new URLSearchParams(asked.map((version) => ["version", version]));
    sending.open("POST", `/listen/api/songs?${query}`);
    sending.setRequestHeader(drop.dataset.nameHeader, encodeURIComponent(wellFormed(card.file.name)));
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.responseType = "json";
    sending.upload.onprogress = (event) => card.showSent(event.loaded, event.total);
    sending.upload.onload = () => card.showListening();
    sending.onload = () => done({
      status: sending.status, answer: sending.response,
      retryAfter: Number(sending.getResponseHeader("Retry-After")) || 0,
    });
    sending.onerror = () => done({ status: 0 });
    sending.onabort = () => done({ status: 0 });
    card.cancel = () => sending.abort();
    sending.send(card.file);
  });
}

function wellFormed(name) {
  return name.toWellFormed?.() ?? name.replace(/\p{Surrogate}/gu, "\ufffd");
}

function remove(card) {
  card.dispose();
  cards.splice(cards.indexOf(card), 1);
  showAll();
  compare();
  place("files").focus();
}

function showAll() {
  place("all").hidden = !cards.length;
  const results = cards.filter((card) => card.result);
  place("all-json").hidden = place("all-csv").hidden = results.length < 2;
}

function compare() {
  showComparison(place("comparison"), cards.filter((card) => card.compared && card.result));
}

place("clear").addEventListener("click", () => {
  for (const card of [...cards]) remove(card);
  announce("All songs are removed.");
});
const results = () => cards.filter((card) => card.result).map((card) => card.result);
place("all-json").addEventListener("click", () => saveJson("songs", results()));
place("all-csv").addEventListener("click", () => saveCsv("songs", drop.dataset.csvColumns, results()));

// --- choosing, dropping, recording ----------------------------------------------------------

place("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});
let depth = 0;
const hasFiles = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
document.addEventListener("dragenter", (event) => {
  if (hasFiles(event)) { depth += 1; drop.classList.add("over"); }
});
document.addEventListener("dragleave", (event) => {
  if (hasFiles(event) && --depth <= 0) { depth = 0; drop.classList.remove("over"); }
});
document.addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  depth = 0;
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});

const recorder = new Recorder({
  onLevel: (level, seconds) => {
    place("loudness").value = level;
    place("recorded").textContent = clock(seconds);
  },
  onEnd: (file) => {
    place("recorder").hidden = true;
    place("record").hidden = false;
    place("record").focus();
    if (file) add([file]);
  },
});
place("record").addEventListener("click", async () => {
  place("problem").replaceChildren();
  try {
    await recorder.start();
  } catch (error) {
    place("problem").append(element("p.notice.bad", {}, error.message));
    return;
  }
  place("record").hidden = true;
  place("recorder").hidden = false;
  place("stop").focus();
  announce("Recording.");
});
place("stop").addEventListener("click", () => recorder.stop());
place("discard").addEventListener("click", () => recorder.discard());

pollModel();
