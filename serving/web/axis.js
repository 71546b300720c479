// Scales of drawings: round ticks, and places in percent, so that a drawing fits any width by itself.

/** An axis from `low` (at most 0) to a round number above `high`, with about five ticks. */
export function roundAxis(high, low = 0) {
  const reach = Math.max(high - low, 0.1);
  const raw = reach / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((times) => times * power >= raw) * power;
  const first = Math.floor(low / step + 1e-9) * step;
  const last = Math.max(step, Math.ceil(high / step - 1e-9) * step);
  const ticks = [];
  for (let tick = first; tick <= last + step / 2; tick += step) ticks.push(Math.abs(tick) < step / 2 ? 0 : tick);
  return { low: first, high: last, ticks, digits: step < 0.1 ? 2 : step < 1 ? 1 : 0 };
}

/** A place on an axis in percent of its width, kept within it. */
export function place(axis, value) {
  return Math.min(100, Math.max(0, (100 * (value - axis.low)) / (axis.high - axis.low)));
}

export const percent = (number) => `${Math.round(number * 1000) / 1000}%`;

/** Where a value stands, as an attribute. */
export const at = (axis, value) => percent(place(axis, value));

/** How wide the stretch between two values is, as an attribute. */
export const between = (axis, low, high) => percent(Math.max(0, place(axis, high) - place(axis, low)));
