// Numbers, dates and names as people read them.

const MINUS = "\u2212";
const EN_DASH = "\u2013";

/** The scales: where each metric runs, and up to which score an answer is in its lowest and middle class. */
export const SCALES = {
  nps: { name: "NPS", low: -100, high: 100, lowest: 6, middle: 8, classes: ["detractor", "passive", "promoter"] },
  csat5: { name: "CSAT", low: 0, high: 100, lowest: 3, middle: 3, classes: ["not satisfied", "", "satisfied"] },
  ces7: { name: "CES", low: 0, high: 100, lowest: 4, middle: 4, classes: ["not easy", "", "easy"] },
};

const fixed = (digits, sign = "auto") =>
  new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: sign });
const formats = { plain: [fixed(0, "negative"), fixed(1, "negative"), fixed(2, "negative")], signed: fixed(1, "exceptZero") };
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
const tidy = (text) => text.replace("-", MINUS);

/** Points, with one decimal unless told otherwise. */
export const points = (value, digits = 1) => (known(value) ? tidy(formats.plain[digits].format(value)) : EN_DASH);

/** A value that may be on either side of 0, with its sign. */
export const signed = (value) => (known(value) ? tidy(formats.signed.format(value)) : EN_DASH);

/** The metric: signed where its scale has two sides. */
export const score = (value, scale) => (SCALES[scale].low < 0 ? signed(value) : points(value));

export const count = (value) => formats.plain[0].format(value);
export const share = (value) => (known(value) ? `${points(100 * value)}%` : EN_DASH);

/** An interval for a column of figures; in words where an end is below 0. */
export function interval(low, high) {
  if (!known(low) || !known(high)) return EN_DASH;
  return low < 0 ? `${points(low)} to ${points(high)}` : `${points(low)}${EN_DASH}${points(high)}`;
}

/** "1 response", "2 responses". */
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

const date = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const dates = {
  day: date({ day: "numeric", month: "short", year: "numeric" }),
  dayOnly: date({ day: "numeric", month: "short" }),
  month: date({ month: "short", year: "numeric" }),
  monthOnly: date({ month: "short" }),
};

export const day = (iso) => (Number.isNaN(Date.parse(iso)) ? iso : dates.day.format(new Date(iso)));

/** A period as it stands in a sentence: "Apr 2026", or "week of 6 Apr 2026". */
export const period = (value, by) =>
  by === "month" ? dates.month.format(new Date(`${value}-01`)) : `week of ${day(value)}`;

export const monthName = (value) => dates.monthOnly.format(new Date(`${value.slice(0, 7)}-01`));

/** From the first month to the last: "Jan \u2013 Jun 2026". */
export function monthSpan(first, last) {
  if (first === last) return period(first, "month");
  const start = first.slice(0, 4) === last.slice(0, 4) ? monthName(first) : period(first, "month");
  return `${start} ${EN_DASH} ${period(last, "month")}`;
}

/** The dates of a filter, whose end is the first day after it. */
export function span(since, until) {
  if (since?.endsWith("-01") && until?.endsWith("-01")) {
    return monthSpan(since.slice(0, 7), new Date(Date.parse(until) - 86400000).toISOString().slice(0, 7));
  }
  const end = until ? new Date(Date.parse(until) - 86400000).toISOString() : null;
  if (since && end) return day(since) === day(end) ? day(since) : `${day(since)} ${EN_DASH} ${day(end)}`;
  return since ? `since ${day(since)}` : `until ${day(end)}`;
}

/** A filter in words: "region North, 1 Apr 2026 \u2013 30 Apr 2026". */
export function filterWords({ segment, since, until }) {
  return [segment?.replace(":", " "), since || until ? span(since, until) : null].filter(Boolean).join(", ");
}

/** The name of a code, and that of the code above it. */
export const labelOf = (code, labels) => labels[code] ?? code;
export const parentOf = (code) => (code.includes(".") ? code.slice(0, code.lastIndexOf(".")) : null);

/** A segment's name or value; nobody filled in the empty one. */
export const valueOf = (value) => (value === "" ? "(blank)" : value);
export const nameOf = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/** Which class of answers a score is in: 0 the lowest, 1 the middle, 2 the best. */
export function classOf(value, scale) {
  const { lowest, middle } = SCALES[scale];
  if (value < lowest + 1) return 0;
  return value < middle + 1 ? 1 : 2;
}
