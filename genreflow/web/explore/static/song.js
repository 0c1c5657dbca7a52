/** The page of one song: spectrograms under the player, and its mark. */

import { announce, clock, element } from "../dom.js";
import { drawClips, playFrom } from "./clips.js";
import { buttons, complain, fetchSong, listenToKeys, markingKeys, save } from "./marking.js";
import { explainFailures } from "./sound.js";

const number = Number(document.getElementById("song").dataset.number);
const player = document.getElementById("player");
const marking = document.getElementById("marking");
document.getElementById("mark").parentElement.parentElement.append(
  element("p.notice.bad", { id: "problem", role: "alert", hidden: true }),
);

if (player) explainFailures(player, document.getElementById("no-player"));

async function showClips() {
  const canvas = document.getElementById("picture");
  const clips = await drawClips(canvas, number);
  if (clips === null) {
    const place = document.getElementById("no-clips");
    place.textContent = "Its spectrograms are not at hand: the run's examples were moved, or are compressed.";
    place.hidden = false;
    return;
  }
  document.getElementById("clips").hidden = false;
  const text = (start) => `from ${clock(start, 1)}`;
  document.getElementById("starts").append(...clips.starts.map((start) => player
    ? element("button", { type: "button", onclick: () => { player.currentTime = start; player.play(); } }, text(start))
    : element("span.tag.plain", {}, text(start))));
  if (player) playFrom(canvas, player, clips);
}

let song = null;
let busy = false;
function show() {
  document.getElementById("mark").textContent = song.mark_text || "none";
  marking.replaceChildren(...buttons(song, choose));
}

async function choose(decision, genre) {
  if (busy || (decision === "undo" && !song.mark)) return;
  busy = true;
  try {
    await save(song, decision, genre);
    complain("");
    announce(song.mark_text ? `Saved: ${song.mark_text}` : "Undone");
  } catch (error) {
    complain(error.message);
    song = await fetchSong(number);
  } finally {
    busy = false;
  }
  show();
}

song = await fetchSong(number);
show();
listenToKeys(markingKeys(() => song, choose), () => true);
await showClips();
