// The comments behind a cause, with the words that carry it marked.

import { get } from "./api.js";
import { h, put, spoken } from "./dom.js";
import { SCALES, classOf, day, labelOf } from "./format.js";

const PAGE = 20;

/**
 * Fill a section with the comments behind a cause, a page at a time.
 *
 * `wanted` holds the filter and the order; `labels` the codes' names; `scale` the name of the scale.
 */
export function showComments(section, code, wanted, labels, scale) {
  const list = h("ol", { class: "comments" });
  const state = h("p", { class: "muted", role: "status" });
  const more = h("button", { type: "button", class: "quiet", onclick: () => next() }, "More comments");
  let cursor = null;
  put(section, list, state, more);
  const bucket = code === "uncoded";
  const behind = bucket ? { status: "uncoded" } : { code, polarity: "non_positive" };

  async function next() {
    more.hidden = true;
    state.textContent = "Reading the comments\u2026";
    try {
      const page = await get("v1/responses", { ...behind, ...wanted, limit: PAGE, cursor });
      const first = list.children.length;
      list.append(...page.responses.map((response) => comment(response, bucket ? null : code, labels, scale)));
      cursor = page.next_cursor;
      more.hidden = cursor === null;
      state.textContent = list.children.length ? "" : "No comment matches.";
      if (first && list.children[first]) list.children[first].focus();
    } catch (error) {
      state.textContent = error.message;
      more.hidden = false;
    }
  }
  return next();
}

function comment(response, code, labels, scale) {
  const own = response.tags.filter((tag) => isUnder(tag.code, code) && tag.polarity !== "positive");
  const others = response.tags.filter((tag) => !own.includes(tag));
  return h("li", { tabindex: "-1" },
    h("p", { class: "about" }, chip(response.score, scale),
      response.responded_at ? h("time", { datetime: response.responded_at }, day(response.responded_at)) : null),
    h("blockquote", { dir: "auto" }, marked(response.comment ?? "", own.flatMap((tag) => tag.evidence))),
    others.length ? h("ul", { class: "codes", "aria-label": "Other codes" }, others.map((tag) => other(tag, labels))) : null);
}

const isUnder = (found, code) => code !== null && (found === code || found.startsWith(`${code}.`));

function other(tag, labels) {
  const praise = tag.polarity === "positive";
  return h("li", { class: praise ? "praise" : null }, labelOf(tag.code, labels), praise ? ", praised" : null);
}

function chip(value, scale) {
  if (value === null) return h("span", { class: "score" }, "no score");
  const kind = classOf(value, scale);
  const name = SCALES[scale].classes[kind];
  return h("span", { class: `score ${["lowest", "middle", "best"][kind]}`, title: name }, String(value), name ? spoken(` ${name}`) : null);
}

/**
 * Give a comment as text and marks.
 *
 * Offsets count Unicode code points, of which a JavaScript string may need two units each.
 */
export function marked(text, evidence) {
  const characters = Array.from(text);
  const parts = [];
  let from = 0;
  for (const { start, end } of merged(evidence, characters.length)) {
    parts.push(characters.slice(from, start).join(""), h("mark", {}, characters.slice(start, end).join("")));
    from = end;
  }
  return [...parts, characters.slice(from).join("")];
}

function merged(evidence, length) {
  const found = [];
  const spans = evidence
    .map(({ start, end }) => ({ start: Math.max(0, start), end: Math.min(length, end) }))
    .filter(({ start, end }) => start < end)
    .sort((a, b) => a.start - b.start);
  for (const span of spans) {
    const last = found.at(-1);
    if (last && span.start <= last.end) last.end = Math.max(last.end, span.end);
    else found.push(span);
  }
  return found;
}
