/** Buttons that mark a song, and requests that save the marks. */

import { element, request } from "../dom.js";

/** The run's genres in label order. */
export const GENRES = JSON.parse(document.getElementById("genres").textContent);

/**
 * Save a mark. Throw an Error with the reason if it is not saved.
 * @param {Object} song `number`, and `mark`, the state of its mark that the person saw
 * @param {string} decision "keep", "relabel", "drop" or "undo"
 * @param {number} genre index of the new genre, if it is relabelled
 */
export async function save(song, decision, genre = -1) {
  const query = new URLSearchParams({ decision, genre, seen: song.mark });
  const answer = await request(`/explore/api/songs/${song.number}/mark?${query}`, { method: "POST" });
  Object.assign(song, { mark: answer.mark, mark_text: answer.mark_text });
  document.getElementById("marked").textContent = answer.marked;
  return answer;
}

/** Return a song as it is now on the server. */
export function fetchSong(number) {
  return request(`/explore/api/songs/${number}`);
}

/**
 * Return the buttons for a song.
 * @param {Object} song as the server describes it
 * @param {function(string, number)} choose called with a decision and a genre
 */
export function buttons(song, choose) {
  const key = (name) => element("kbd", { "aria-hidden": "true" }, name);
  const select = element(
    "select", { id: "genre", "aria-label": "Another genre" },
    ...GENRES.map((name, index) => element("option", { value: index }, name)),
  );
  select.value = song.suggested ?? song.label;
  const found = [
    element("button", { type: "button", "aria-keyshortcuts": "k", onclick: () => choose("keep", -1) },
      `Keep ${GENRES[song.label]} `, key("k")),
  ];
  if (song.suggested !== null) {
    found.push(element(
      "button.main", { type: "button", "aria-keyshortcuts": "r", onclick: () => choose("relabel", song.suggested) },
      `Relabel to ${GENRES[song.suggested]} `, key("r"),
    ));
  }
  const relabel = () => choose("relabel", Number(select.value));
  select.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); relabel(); }
    if (event.key === "Escape") select.blur();
  });
  found.push(
    element("span.row", {}, select, key("g"), element("button", { type: "button", onclick: relabel }, "Relabel")),
    element("button", { type: "button", "aria-keyshortcuts": "d", onclick: () => choose("drop", -1) }, "Drop the song ", key("d")),
    element("button", { type: "button", "aria-keyshortcuts": "u", disabled: !song.mark && !song.canUndo, onclick: () => choose("undo", -1) }, "Undo ", key("u")),
  );
  return found;
}

/** Return what the keys that mark a song do. */
export function markingKeys(current, choose) {
  return {
    k: () => choose("keep", -1),
    r: () => { if (current().suggested !== null) choose("relabel", current().suggested); },
    g: () => document.getElementById("genre").focus(),
    d: () => choose("drop", -1),
    u: () => choose("undo", -1),
  };
}

/**
 * Listen to keys that are pressed outside of fields.
 * @param {Object} keys functions by the name of their key
 * @param {function(): boolean} active whether they do anything now
 */
export function listenToKeys(keys, active) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !active()) return;
    if (event.target.closest("input, select, textarea")) return;
    // Space and arrows belong to the player, button or "Keys" that was clicked last; letters do not.
    if (event.key === " " && event.target.closest("button, a, audio, summary")) return;
    if (event.key.startsWith("Arrow") && event.target.closest("audio")) return;
    const act = keys[event.key];
    if (!act || (event.repeat && !event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    act();
  });
}

/** Show a problem, or hide it with an empty text. */
export function complain(text) {
  const place = document.getElementById("problem");
  place.textContent = text;
  place.hidden = !text;
}
