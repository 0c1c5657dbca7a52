/** Recorder of the microphone, as an uncompressed WAV file, which every decoder reads. */

const MAX_SECONDS = 120;
const SCALE = 0x7fff;

export class Recorder {
  /** @param {{onLevel: function(number, number), onEnd: function(?File)}} listeners */
  constructor(listeners) {
    this.listeners = listeners;
    this.context = null;
  }

  /** Start. Throw an Error with a message for people if there is no microphone, or no permission. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("a browser records only from a page on this machine or over https; open the " +
        "page as http://127.0.0.1, or record with another program and choose the file");
    }
    try {
      // Music, not speech: nothing is cut, filtered or made louder.
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new Error(error.name === "NotAllowedError"
        ? "the browser may not use the microphone; allow it for this page, and press Record again"
        : `no microphone can be used (${error.name}); connect one, and press Record again`);
    }
    this.parts = [];
    this.samples = 0;
    this.context = new AudioContext();
    try {
      await this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url).href);
    } catch (error) {
      this.#close();
      throw error;
    }
    const tap = new AudioWorkletNode(this.context, "tap", { numberOfOutputs: 0 });
    tap.port.onmessage = ({ data }) => this.#take(data);
    this.context.createMediaStreamSource(this.stream).connect(tap);
  }

  /** End, and hand over the file. */
  stop() {
    if (!this.context) return;
    const rate = this.context.sampleRate;
    this.#close();
    const moment = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
    const file = new File([wav(this.parts, this.samples, rate)], `recording ${moment}.wav`,
      { type: "audio/wav" });
    this.parts = [];
    this.listeners.onEnd(file);
  }

  /** End, and keep nothing. */
  discard() {
    if (!this.context) return;
    this.#close();
    this.parts = [];
    this.listeners.onEnd(null);
  }

  #take(samples) {
    if (!this.context) return;
    this.parts.push(samples);
    this.samples += samples.length;
    let loudest = 0;
    for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
    const seconds = this.samples / this.context.sampleRate;
    this.listeners.onLevel(Math.min(1, loudest), seconds);
    if (seconds >= MAX_SECONDS) this.stop();
  }

  #close() {
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
    this.context = null;
  }
}

/** Return a mono WAV file of 16 bits. */
function wav(parts, samples, rate) {
  const data = new DataView(new ArrayBuffer(44 + 2 * samples));
  const text = (at, letters) => [...letters].forEach((letter, index) =>
    data.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  data.setUint32(4, 36 + 2 * samples, true);
  text(8, "WAVEfmt ");
  data.setUint32(16, 16, true);
  data.setUint16(20, 1, true); // PCM
  data.setUint16(22, 1, true); // channels
  data.setUint32(24, rate, true);
  data.setUint32(28, 2 * rate, true);
  data.setUint16(32, 2, true);
  data.setUint16(34, 16, true);
  text(36, "data");
  data.setUint32(40, 2 * samples, true);
  let at = 44;
  for (const part of parts) {
    for (const sample of part) {
      data.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * SCALE), true);
      at += 2;
    }
  }
  return data.buffer;
}
