/** Names for people. */

import { printable } from "../dom.js";

/** Return what a version is called beside another. */
export function versionName(answer) {
  const { version } = answer.model;
  const label = answer.choice.startsWith("label:") ? printable(answer.choice.slice(6)) : "";
  const number = version === null ? "" : `version ${version}`;
  return label ? `${label}${number && ` (${number})`}` : number || answer.choice || "the model";
}
