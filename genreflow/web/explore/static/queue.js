/** The listening queue: one song after the other, by keyboard. */

import { announce, bar, element, percent } from "../dom.js";
import { drawClips, playFrom } from "./clips.js";
import { GENRES, buttons, complain, fetchSong, listenToKeys, markingKeys, save } from "./marking.js";
import { explainFailures } from "./sound.js";

const SHOWN_GENRES = 4;
const SKIP_SECONDS = 5;
const order = JSON.parse(document.getElementById("order").textContent);
const byId = (id) => document.getElementById(id);
const player = byId("player");
const canvas = byId("picture");
const done = [];
let at = 0;
let song = null;
let busy = false;

function claim() {
  if (song.suggested === null) return [`Nothing speaks against the label ${GENRES[song.label]} any more.`];
  const strong = (text) => element("strong", {}, text);
  return ["Labelled ", strong(GENRES[song.label]), ", heard as ", strong(GENRES[song.suggested]),
    song.sure ? ", and sure of it" : "", ` (by ${song.sources}).`];
}

function bars() {
  const shown = song.probabilities.filter(([genre], place) => place < SHOWN_GENRES || genre === song.label);
  return element("table.bars", {}, element("caption.unseen", {}, "Held-out probabilities"),
    element("tbody", {}, ...shown.map(([genre, p]) => element("tr", {},
      element("th", { scope: "row" }, GENRES[genre] + (genre === song.label ? " (label)" : "")),
      element("td.number", {}, percent(p)),
      element("td.stretch", {}, bar(p))))));
}

function show() {
  byId("place").textContent = `${at + 1} of ${order.length}`;
  const title = byId("title");
  title.textContent = song.artist ? `${song.track_id}, by ${song.artist}` : song.track_id;
  title.href = `/explore/songs/${song.number}`;
  byId("claim").replaceChildren(...claim());
  byId("bars").replaceChildren(bars());
  byId("mark").textContent = song.mark_text;
  byId("mark").hidden = !song.mark_text;
  song.canUndo = done.length > 0;
  byId("marking").replaceChildren(...buttons(song, choose));
}

async function go(place, plays) {
  if (place >= order.length) {
    player.pause();
    byId("queue").hidden = true;
    byId("done").hidden = false;
    byId("done").querySelector("a").focus();
    announce("That was the last one");
    return;
  }
  at = Math.max(0, place);
  song = await fetchSong(order[at]);
  show();
  player.pause();
  player.hidden = Boolean(song.no_audio);
  byId("no-audio").hidden = !song.no_audio;
  byId("no-audio").textContent = song.no_audio;
  if (song.no_audio) player.removeAttribute("src");
  else {
    player.src = `/explore/songs/${song.number}/audio`;
    if (plays) player.play().catch(() => {});
  }
  announce(`${at + 1} of ${order.length}: ${byId("claim").textContent}`);
  showClips(song); // not awaited: marking need not wait for a picture
}

async function showClips(shown) {
  canvas.hidden = true;
  const made = document.createElement("canvas");
  const clips = await drawClips(made, shown.number);
  if (clips === null || shown !== song) return;
  canvas.width = made.width;
  canvas.height = made.height;
  canvas.getContext("2d").drawImage(made, 0, 0);
  canvas.hidden = false;
  playFrom(canvas, player, clips);
}

/** Say what was saved, and show it, as the next song takes the place of the marked one. */
function told(text) {
  announce(text);
  byId("saved").textContent = text;
  byId("saved").hidden = false;
}

/** Do one thing at a time: a key pressed twice marks one song. */
async function alone(work) {
  if (busy) return;
  busy = true;
  try { await work(); } catch (error) { complain(error.message); } finally { busy = false; }
}

function choose(decision, genre) {
  return alone(async () => {
    complain("");
    if (decision === "undo") return undo();
    try {
      await save(song, decision, genre);
    } catch (error) {
      const message = error.message;
      song = await fetchSong(order[at]);
      show();
      complain(message);
      return undefined;
    }
    done.push(at);
    told(`Saved: ${song.track_id}, ${song.mark_text}. The key u undoes it.`);
    return go(at + 1, !player.paused || player.ended);
  });
}

async function undo() {
  if (!song.mark && done.length) await go(done.pop(), false);
  if (!song.mark) return;
  await save(song, "undo");
  const place = done.indexOf(at);
  if (place >= 0) done.splice(place, 1);
  told(`Undone: ${song.track_id}.`);
  show();
}

listenToKeys({
  ...markingKeys(() => song, choose),
  " ": () => { if (player.paused) player.play().catch(() => {}); else player.pause(); },
  ArrowLeft: () => { player.currentTime = Math.max(0, player.currentTime - SKIP_SECONDS); },
  ArrowRight: () => { player.currentTime += SKIP_SECONDS; },
  n: () => alone(() => go(Math.min(at + 1, order.length - 1), !player.paused)),
  p: () => alone(() => go(at - 1, !player.paused)),
}, () => !byId("queue").hidden);

explainFailures(player, byId("no-audio"));
byId("queue").hidden = false;
await alone(() => go(0, false));
