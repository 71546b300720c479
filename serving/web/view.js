// What is looked at, kept in the address so that it can be shared: filter, cause, segment, order.

const FIELDS = ["segment", "since", "until", "cause", "by", "order"];
const DATE = /^\d{4}-\d\d-\d\d$/;

/** Read the view from the address. */
export function readView() {
  const found = new URLSearchParams(location.hash.slice(1));
  const view = Object.fromEntries(FIELDS.map((name) => [name, found.get(name)]));
  for (const name of ["since", "until"]) {
    if (view[name] !== null && (!DATE.test(view[name]) || Number.isNaN(Date.parse(view[name])))) view[name] = null;
  }
  return view;
}

/** Change parts of the view; the address follows, and whoever listens to it unless it is a quiet change. */
export function changeView(changes, { quiet = false } = {}) {
  const view = { ...readView(), ...changes };
  const query = new URLSearchParams(FIELDS.filter((name) => view[name]).map((name) => [name, view[name]]));
  const address = `${location.pathname}${location.search}${query.size ? `#${query}` : ""}`;
  if (quiet) {
    history.replaceState(null, "", address);
    return;
  }
  history.pushState(null, "", address);
  dispatchEvent(new Event("viewchange"));
}

/** The part of a view that the API filters by. */
export const filterOf = ({ segment, since, until }) => ({ segment, since, until });

export const sameFilter = (a, b) => JSON.stringify(filterOf(a)) === JSON.stringify(filterOf(b));

export const isFiltered = ({ segment, since, until }) => Boolean(segment || since || until);
