// Bars of points lost: detractors' part and passives' part, interval as a whisker, bracket behind.

import { at, between, place } from "./axis.js";
import { svg } from "./dom.js";
import { period, points } from "./format.js";

const HEIGHT = 38;
const MIDDLE = HEIGHT / 2;

/**
 * The bar of a cause (or bucket) on an axis; `mark` draws a line at another value, for comparison, and `cell`
 * the shrunken figure with its interval, beneath.
 */
export function causeBar(row, axis, { bracket = true, mark = null, cell = null } = {}) {
  const drawing = svg("svg", { class: "plot", height: HEIGHT, "aria-hidden": "true" });
  for (const tick of axis.ticks) drawing.append(rule("grid", axis, tick, 0, HEIGHT));
  if (row.points_lost === null) return drawing;
  if (bracket) drawing.append(stretch("bracket", axis, row.bracket_low, row.bracket_high, 8, HEIGHT - 16));
  const strong = Math.max(0, row.from_detractors);
  drawing.append(stretch("lost", axis, 0, strong, MIDDLE - 6, 12));
  drawing.append(stretch("lost soft", axis, strong, strong + Math.max(0, row.from_passives), MIDDLE - 6, 12));
  if (mark !== null) drawing.append(rule("mark", axis, mark, 0, HEIGHT));
  drawing.append(...whisker(axis, row.low, row.high, MIDDLE));
  if (cell) drawing.append(...shrunken(axis, cell));
  return drawing;
}

/** A shrunken figure: a ring on its interval. */
function shrunken(axis, { shrunk, low, high }) {
  const y = HEIGHT - 6;
  return [svg("line", { class: "shrunk", x1: at(axis, low), x2: at(axis, high), y1: y, y2: y }),
    svg("circle", { class: "shrunk", cx: at(axis, shrunk), cy: y, r: 3 })];
}

/** An interval as a line with short ends; a halo keeps it legible over a bar. */
export function whisker(axis, low, high, y) {
  if (low === null || high === null) return [];
  const ends = [low, high].map((value) => rule("whisker", axis, value, y - 4, y + 4));
  const along = (kind) => svg("line", { class: kind, x1: at(axis, low), x2: at(axis, high), y1: y, y2: y });
  return [along("halo"), along("whisker"), ...ends];
}

/** The ticks' numbers of an axis. */
export function axisLabels(axis) {
  const drawing = svg("svg", { class: "plot ticks", height: 16, "aria-hidden": "true" });
  for (const tick of axis.ticks) {
    const x = at(axis, tick);
    drawing.append(svg("text", { x, y: 12, "text-anchor": "middle" }, points(tick, axis.digits)));
  }
  return drawing;
}

export function stretch(kind, axis, low, high, y, height) {
  return svg("rect", { class: kind, x: at(axis, low), width: between(axis, low, high), y, height });
}

export function rule(kind, axis, value, y1, y2) {
  return svg("line", { class: kind, x1: at(axis, value), x2: at(axis, value), y1, y2 });
}

/** A sample of a tone, for a legend. */
export function swatch(kind, width = 10) {
  return svg("svg", { class: "swatch", width, height: 10, "aria-hidden": "true" }, svg("rect", { class: kind, width, height: 10 }));
}

const WIDTH = 96;
const TALL = 28;

/** Points lost over time, from 0 up, in the space of a word; `floor` keeps noise of rare causes low. */
export function sparkline(series, floor, by) {
  const drawing = svg("svg", { class: "spark", width: WIDTH, height: TALL, "aria-hidden": "true" });
  const seen = series.map(({ row }, position) => ({ value: row?.points_lost ?? null, position }));
  const drawn = seen.filter(({ value }) => value !== null);
  if (drawn.length < 2) return drawing;
  const axis = { low: 0, high: Math.max(floor, ...drawn.map(({ value }) => value)) };
  const x = ({ position }) => 3 + (position * (WIDTH - 6)) / (series.length - 1);
  const y = ({ value }) => TALL - 4 - (place(axis, value) * (TALL - 9)) / 100;
  const line = drawn.map((one) => `${x(one).toFixed(1)},${y(one).toFixed(1)}`).join(" ");
  const last = drawn.at(-1);
  const told = series.map(({ value, row }) => `${period(value, by)}: ${points(row?.points_lost ?? null)}`);
  drawing.append(
    svg("title", {}, told.join("\n")),
    svg("line", { class: "grid", x1: 3, x2: WIDTH - 3, y1: TALL - 4, y2: TALL - 4 }),
    svg("polyline", { class: "line", points: line }),
    svg("circle", { class: "dot", cx: x(last).toFixed(1), cy: y(last).toFixed(1), r: 2 }),
  );
  return drawing;
}
