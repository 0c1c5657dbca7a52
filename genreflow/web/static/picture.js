/** Spectrograms on a canvas, drawn from bytes: column by column, band by band from the lowest. */

import { VIRIDIS } from "./viridis.js";

const COLOURS = new Uint32Array(256);
for (let index = 0; index < 256; index++) {
  const rgb = parseInt(VIRIDIS.slice(6 * index, 6 * index + 6), 16);
  // Little endian, as in every browser's ImageData.
  COLOURS[index] = 0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16);
}

/** Return the bytes of base64 text. */
export function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/**
 * Draw a spectrogram over the whole canvas.
 * @param {HTMLCanvasElement} canvas gets one pixel for each level; CSS scales it
 * @param {Uint8Array} levels `[columns, bands]`, 0 the quietest, 255 the loudest
 */
export function drawSpectrogram(canvas, levels, bands) {
  const columns = levels.length / bands;
  canvas.width = columns;
  canvas.height = bands;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, bands);
  const pixels = new Uint32Array(image.data.buffer);
  for (let column = 0; column < columns; column++) {
    for (let band = 0; band < bands; band++) {
      pixels[(bands - 1 - band) * columns + column] = COLOURS[levels[column * bands + band]];
    }
  }
  context.putImageData(image, 0, 0);
}
