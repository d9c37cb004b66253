// A recording as a picture: loudness by time and pitch, made in the browser, a few columns at a time.

import { fourier } from "./fourier.js";

export const RATE = 22_050; // Hz: what most models hear
const FRAME = 2048, ROWS = 160, COLUMNS = 1000;
const LOWEST = 50, HIGHEST = 10_000; // Hz
const RANGE = 75; // dB that are told apart
const AT_ONCE = 24; // columns between two looks at whatever else the page has to do
// From silence to the loudest: dark, violet, red, yellow.
const RAMP = [[20, 16, 36], [62, 25, 98], [125, 40, 118], [190, 62, 96], [235, 105, 68], [251, 170, 76], [252, 240, 180]];

/**
 * Decode a recording, mono, 22 050 Hz.
 * @param {Blob} file
 * @returns {Promise<{ samples: Float32Array, seconds: number }>}
 * @throws {DOMException} if the browser does not read it
 */
export async function decode(file) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const decoded = await context.decodeAudioData(await file.arrayBuffer());
  const samples = decoded.getChannelData(0).slice();
  for (let channel = 1; channel < decoded.numberOfChannels; channel++) {
    const other = decoded.getChannelData(channel);
    for (let i = 0; i < samples.length; i++) samples[i] += other[i];
  }
  return { samples, seconds: decoded.duration };
}

/**
 * Draw the spectrogram of samples; it stops when the canvas leaves the page.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} samples at RATE
 */
export async function drawSpectrogram(canvas, samples) {
  const columns = Math.max(1, Math.min(COLUMNS, Math.ceil(samples.length / 256)));
  const context = canvas.getContext("2d");
  if (!context) return;
  Object.assign(canvas, { width: columns, height: ROWS });
  context.fillStyle = `rgb(${RAMP[0]})`;
  context.fillRect(0, 0, columns, ROWS);
  const powersOf = fourier(FRAME), powers = new Float32Array(FRAME / 2 + 1), bands = bandEdges();
  const levels = new Float32Array(columns * ROWS);
  let loudest = -Infinity;
  for (let first = 0; first < columns; first += AT_ONCE) {
    for (let column = first; column < Math.min(columns, first + AT_ONCE); column++) {
      const middle = ((column + 0.5) / columns) * samples.length;
      powersOf(samples, Math.max(0, Math.round(middle - FRAME / 2)), powers);
      for (let row = 0; row < ROWS; row++) {
        const level = 10 * Math.log10(meanOf(powers, bands[row], bands[row + 1]) + 1e-9);
        levels[row * columns + column] = level;
        if (level > loudest) loudest = level;
      }
    }
    await new Promise((resolve) => setTimeout(resolve));
    if (!canvas.isConnected) return;
  }
  context.putImageData(coloured(levels, columns, loudest), 0, 0);
}

/** The bins at which rows begin, evenly by pitch. */
function bandEdges() {
  const perBin = RATE / FRAME;
  return Float32Array.from({ length: ROWS + 1 }, (_, row) => (LOWEST * (HIGHEST / LOWEST) ** (row / ROWS)) / perBin);
}

/** @param {Float32Array} powers @param {number} from @param {number} to bins, which need not be whole */
function meanOf(powers, from, to) {
  const first = Math.floor(from), last = Math.max(first, Math.ceil(to) - 1);
  let sum = 0;
  for (let bin = first; bin <= last; bin++) sum += powers[bin];
  return sum / (last - first + 1);
}

/** @param {Float32Array} levels @param {number} columns @param {number} loudest */
function coloured(levels, columns, loudest) {
  const image = new ImageData(columns, ROWS);
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < columns; column++) {
      const share = Math.max(0, Math.min(1, 1 + (levels[row * columns + column] - loudest) / RANGE)) * (RAMP.length - 1);
      const stop = Math.min(RAMP.length - 2, Math.floor(share)), part = share - stop;
      const at = 4 * ((ROWS - 1 - row) * columns + column);
      for (let i = 0; i < 3; i++) image.data[at + i] = RAMP[stop][i] + part * (RAMP[stop + 1][i] - RAMP[stop][i]);
      image.data[at + 3] = 255;
    }
  }
  return image;
}
