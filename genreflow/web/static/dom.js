/** Pieces that all pages use: elements, text from outside, announcements, numbers, requests. */

/**
 * Return an element. Text is always text: strings among the children become text nodes.
 * @param {string} name its tag, with classes: "p.notice.bad"
 * @param {Object} attributes by name; functions listen to an event ("onclick"), `false`, `null` and
 *   `undefined` leave one out
 * @param {...(Node|string|null)} children
 */
export function element(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Return text with control and formatting characters (bidirectional marks too) made visible. */
export function printable(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (character) =>
    `\\x${character.codePointAt(0).toString(16).padStart(2, "0")}`);
}

/** Say something to screen readers. */
export function announce(text) {
  const place = document.getElementById("announcer");
  place.textContent = "";
  // The same text twice is said twice only if it is another change.
  setTimeout(() => { place.textContent = text; }, 50);
}

/** Return a time as "1:02" or "1:02:03", with decimal digits "1:02.5"; it is rounded down. */
export function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const units = Math.floor(seconds * scale + 1e-3);
  const whole = Math.floor(units / scale);
  const rest = digits ? `.${String(units % scale).padStart(digits, "0")}` : "";
  const pad = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return (minutes < 60 ? `${minutes}:${pad(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(whole % 60)}`) + rest;
}

/** Return a fraction as "83.1 %". */
export function percent(fraction) {
  return `${(100 * fraction).toFixed(1)} %`;
}

/** Return a bar for a fraction in [0, 1], hidden from screen readers: its number is beside it. */
export function bar(fraction, kind = "") {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("class", `bar ${kind}`.trim());
  made.setAttribute("aria-hidden", "true");
  const filled = document.createElementNS(space, "rect");
  filled.setAttribute("width", `${(100 * fraction).toFixed(2)}%`);
  filled.setAttribute("height", "100%");
  made.append(filled);
  return made;
}

/** Request JSON. Throw an Error with the server's own message if it answers with an error. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the page's own server does not answer; is `genreflow` still running?");
  }
  let answer = null;
  try { answer = await response.json(); } catch { /* told below */ }
  if (!response.ok || answer === null) {
    throw new Error(answer?.error ?? `the server answered with status ${response.status}`);
  }
  return answer;
}
