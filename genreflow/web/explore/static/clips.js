/** The stored spectrograms of a song, on a canvas. */

import { request } from "../dom.js";
import { bytes, drawSpectrogram } from "../picture.js";

/** Draw a song's clips side by side, and return their starts and length; null without any. */
export async function drawClips(canvas, number) {
  let found;
  try {
    found = await request(`/explore/api/songs/${number}/spectrogram`);
  } catch {
    return null;
  }
  drawSpectrogram(canvas, bytes(found.levels), found.bands);
  divide(canvas, found.starts_s.length);
  return { starts: found.starts_s, seconds: found.clip_seconds };
}

/** Divide a picture by lines, as the parts of the song in it do not follow one another. */
function divide(canvas, parts) {
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  for (let part = 1; part < parts; part++) {
    context.fillRect(Math.round((part * canvas.width) / parts), 0, 1, canvas.height);
  }
}

/** Make a click on the picture play from there. */
export function playFrom(canvas, player, clips) {
  canvas.onclick = (event) => {
    const place = (event.offsetX / canvas.clientWidth) * clips.starts.length;
    const clip = Math.min(Math.floor(place), clips.starts.length - 1);
    player.currentTime = clips.starts[clip] + (place - clip) * clips.seconds;
    player.play();
  };
}
