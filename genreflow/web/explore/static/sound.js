/** Reasons for a song that does not play. */

import { element } from "../dom.js";

/**
 * Show why a player does not play, when it fails.
 * @param {HTMLAudioElement} player
 * @param {HTMLElement} place a hidden paragraph for the reason
 */
export function explainFailures(player, place) {
  const explain = async () => {
    const address = player.getAttribute("src");
    if (!address || !player.error) return;
    const broken = player.error.code === MediaError.MEDIA_ERR_NETWORK;
    const reason = await refusal(address);
    if (player.getAttribute("src") !== address) return; // another song by now
    place.replaceChildren(...(reason ? [reason]
      : broken ? ["The connection broke while the song was loading. Reload the page."]
        : ["This browser cannot play the file's format. ", element("a", { href: address }, "Open the file"),
          " with another player."]));
    place.hidden = false;
  };
  player.addEventListener("error", explain);
  explain(); // it may have failed before this script ran
}

/** Return why the server does not give a song's audio; "" if it does. */
async function refusal(address) {
  try {
    // Not from the first byte, which would count as played anew.
    const answer = await fetch(address, { headers: { Range: "bytes=1-1" } });
    if (answer.ok || answer.status === 416) return "";
    return (await answer.json()).error ?? "";
  } catch {
    return "The page's own server does not answer. Is genreflow still running?";
  }
}
