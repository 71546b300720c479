// What changed and where, in sentences; each leads to its cause.

import { h, put } from "./dom.js";
import { day, labelOf } from "./format.js";
import { changeView } from "./view.js";

const SHOWN = 6;

const ISO_DAY = /\b\d{4}-\d\d-\d\d\b/g;

/** Give a finding's sentence with the code's label in place of its id, and dates as people write them. */
export const told = ({ code, sentence }, labels) => {
  const text = sentence.replaceAll(code, () => labelOf(code, labels)).replace(ISO_DAY, day);
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
};

/** The findings about one code, not the doubtful ones. */
export const findingsOf = (findings, code) =>
  [...findings.changes, ...findings.hotspots].filter((finding) => finding.code === code);

/** List all of them; they are of all responses, which must be said where a filter is set. */
export function showFindings(section, findings, labels, filtered) {
  const { changes, hotspots, doubtful, notes } = findings;
  put(
    section,
    h("h2", {}, "What changed and where"),
    filtered ? h("p", { class: "muted" }, "Among all responses, whatever the filter.") : null,
    part("Over the weeks", changes, labels),
    part("In some segments more than in others", hotspots, labels),
    changes.length + hotspots.length ? null : h("p", { class: "muted" }, "Nothing stands out."),
    doubtful.length ? h("details", { class: "fold" }, h("summary", {}, `${doubtful.length} doubtful`),
      h("p", { class: "muted note" }, "Found among all tags, and not among those that are likelier right than wrong."),
      h("ul", { class: "findings" }, doubtful.map((finding) => line(finding, labels)))) : null,
    notes.map((note) => h("p", { class: "muted note" }, note)),
  );
}

function part(title, found, labels) {
  if (!found.length) return null;
  const lines = found.map((finding) => line(finding, labels));
  const more = lines.splice(found.length > SHOWN + 2 ? SHOWN : found.length);
  return h("section", {}, h("h3", {}, title), h("ul", { class: "findings" }, lines),
    more.length ? h("details", { class: "fold" }, h("summary", {}, `${more.length} more`),
      h("ul", { class: "findings" }, more)) : null);
}

function line(finding, labels) {
  const go = () => changeView({ cause: finding.code, ...(finding.segment ? { by: finding.segment } : {}) });
  return h("li", { class: finding.direction === "better" ? "better" : null },
    h("button", { type: "button", onclick: go }, told(finding, labels)));
}
