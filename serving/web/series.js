// Rankings over time: by week where that is fine enough to read, else by month.

import { getOnce } from "./api.js";

const MOST_WEEKS = 60;
const FEWEST_MONTHS = 4;

/**
 * Read a ranking for each month or week, oldest first; null where responses have no dates.
 *
 * `grain` is "coarse" for a sparkline, by month unless there are few, or "fine" for a chart, by week
 * unless there are many.
 */
export async function seriesBy(segments, filter, grain) {
  const size = (name) => valuesWithin(segments.find((segment) => segment.name === name && segment.derived), filter).length;
  const [weeks, months] = [size("week"), size("month")];
  if (!weeks && !months) return null;
  const weekly = grain === "fine" ? weeks <= MOST_WEEKS : months < FEWEST_MONTHS;
  const by = weekly ? "week" : "month";
  const { groups } = await getOnce("v1/root-causes", { ...filter, by });
  const dated = Object.entries(groups).filter(([value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1));
  return { by, series: dated.map(([value, ranking]) => ({ value, ranking })) };
}

/** The months or weeks that a filter may hold; ISO dates sort as texts do. */
export function valuesWithin(segment, { since, until }) {
  const values = segment?.values ?? [];
  const length = values[0]?.length ?? 0;
  return values.filter((value, place) =>
    (!since || (values[place + 1] ?? "~") > since.slice(0, length)) && (!until || value < until));
}
