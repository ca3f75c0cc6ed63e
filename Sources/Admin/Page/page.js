// SPDX-License-Identifier: Apache-2.0
//
// The page of one sidecar: an event stream goes in (docs/page.md), a history of 15 minutes is kept, and what changed is
// drawn. Whatever comes by the stream gets into the document as text, never as markup: names are other people's words.

"use strict";

// ---- Elements

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children: elements or text. */
function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}
function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Text that stays as it is where it is the same: a screen reader tells only of changes, and a selection is kept. */
function put(element, text, level) {
  if (element.textContent !== text) element.textContent = text;
  if (level !== undefined && element.className !== level) element.className = level;
}

/** Whether what is to be shown in an element differs from what is there. */
const shown = new WeakMap();
function differs(element, what) {
  const text = JSON.stringify(what);
  if (shown.get(element) === text) return false;
  shown.set(element, text);
  return true;
}

// ---- Numbers and times, in words of people

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const count = (number) => whole.format(number);
const fine = (number) => (number >= 100 ? whole : number >= 10 ? tenths : hundredths).format(number);
const perSecond = (number) => (number === null ? "–" : `${fine(number)}/s`);
const plain = (number) => (number === null ? "–" : tenths.format(number));
function milliseconds(number) {
  if (number === null) return "–";
  return number >= 1000 ? `${fine(number / 1000)}\u{a0}s` : `${fine(number)}\u{a0}ms`;
}
function share(part, of) {
  if (part > 0 && part / of < 0.001) return "<\u{a0}0.1\u{a0}%";
  return `${tenths.format(of === 0 ? 0 : (100 * part) / of)}\u{a0}%`;
}
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

// In the reader's zone, by 24 hours, as it stands beside logs.
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const hours = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dated = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** Seconds by which the sidecar's clock, which never jumps, is ahead of the reader's, which may. */
let ahead = 0;
function compare(theirs, tolerance = 0) {
  if (Math.abs(theirs - now() - ahead) > tolerance) ahead = theirs - now();
}
/** The moment of the reader's clock at a second of the sidecar's. */
const here = (seconds) => seconds - ahead;
const now = () => Date.now() / 1000;
const dayOf = (seconds) => new Date(seconds * 1000).toDateString();
/** With its date where that isn't today's. */
function inWords(seconds, format = dayOf(seconds) === dayOf(now()) ? clock : dated) {
  return format.format(seconds * 1000);
}

function duration(seconds) {
  const [days, rest] = [Math.floor(seconds / 86400), seconds % 86400];
  const [hour, minute] = [Math.floor(rest / 3600), Math.floor((rest % 3600) / 60)];
  if (days > 0) return `${days} d ${hour} h`;
  if (hour > 0) return `${hour} h ${minute} min`;
  return minute > 0 ? `${minute} min` : `${Math.floor(rest)} s`;
}

/** `<time>` with the reader's words and, for logs, UTC. */
function moment(seconds, format) {
  const date = new Date(seconds * 1000);
  const utc = date.toISOString().replace(/\.\d+/, "");
  return make("time", { datetime: utc, title: utc }, inWords(seconds, format));
}
const instant = (text) => Date.parse(text) / 1000;

// ---- History

/** Seconds of a bin: what a chart draws as one. */
const STEP = 5;
const BINS = 180;
const MINUTE = 60;
const DAY = 86400;
const CLASSES = ["allowed", "denied", "refused", "failed"];
const most = (a, b) => (a === null ? b : b === null ? a : Math.max(a, b));

/** What happened in one stretch of time: counts are added up, latencies are of the worst second. */
class Sum {
  constructor(at) {
    Object.assign(this, { at, seconds: 0, allowed: 0, denied: 0, refused: 0, failed: 0, p50: null, p99: null });
    Object.assign(this, { policies: new Map(), routes: new Map(), connections: null, streams: null });
    this.redis = [0, 0, null, null];
    this.handler = [0, 0, null, null];
  }

  get requests() {
    return this.allowed + this.denied + this.refused + this.failed;
  }

  /** Adds a sample of the wire (a second), or another sum. */
  add(other) {
    this.seconds += other.seconds ?? 1;
    for (const kind of CLASSES) this[kind] += other[kind];
    for (const kind of ["p50", "p99", "connections", "streams"]) this[kind] = most(this[kind], other[kind]);
    for (const kind of ["redis", "handler"]) this[kind] = joined(this[kind], other[kind], 2);
    for (const [kind, counts] of [["policies", 3], ["routes", 2]]) {
      for (const [name, one] of entries(other[kind])) this[kind].set(name, joined(this[kind].get(name), one, counts));
    }
    return this;
  }

  /** Allowed, denied, and of those allowed those that enforcing it would have denied. */
  policy(name) {
    const [allowed, denied, shadow] = this.policies.get(name) ?? [0, 0, 0];
    return [allowed + shadow, denied, shadow];
  }
  route(name) {
    return this.routes.get(name) ?? [0, 0, null];
  }
}
/** The first so many of them are counts, the others latencies. */
function joined(mine, theirs, counts) {
  if (!mine) return theirs;
  return theirs.map((value, place) => (place < counts ? mine[place] + value : most(mine[place], value)));
}
const entries = (pairs) => (pairs instanceof Map ? pairs.entries() : Object.entries(pairs));

/** The last 15 minutes, in bins. */
class History {
  constructor() {
    this.clear();
  }

  clear() {
    Object.assign(this, { bins: new Map(), last: 0, seen: new Set(), recent: [] });
  }

  /** By its second: samples that come twice, after a connection that broke, count once. */
  add(sample) {
    const { at } = sample;
    if (this.seen.has(at) || at <= this.last - BINS * STEP) return;
    this.seen.add(at);
    const began = at - (at % STEP);
    if (!this.bins.has(began)) this.bins.set(began, new Sum(began));
    this.bins.get(began).add(sample);
    this.last = Math.max(this.last, at);
    this.recent = [...this.recent, sample].filter((one) => one.at > this.last - MINUTE);
    for (const old of this.bins.keys()) if (old <= this.end - BINS * STEP) this.bins.delete(old);
    for (const old of this.seen) if (old <= this.last - BINS * STEP) this.seen.delete(old);
  }

  /** When the newest bin began. */
  get end() {
    return this.last - (this.last % STEP);
  }
  /** By place, the newest last; null where nothing was heard. */
  get all() {
    return Array.from({ length: BINS }, (_, place) => this.bins.get(this.end - (BINS - 1 - place) * STEP) ?? null);
  }
  /** When the oldest bin began. */
  get from() {
    return Math.min(...this.bins.keys());
  }
  /** Of the last seconds, at most a minute. */
  within(seconds) {
    const sum = new Sum(this.last);
    for (const sample of this.recent) if (sample.at > this.last - seconds) sum.add(sample);
    return sum;
  }
  get total() {
    const sum = new Sum(this.end);
    for (const bin of this.bins.values()) sum.add(bin);
    return sum;
  }
  /** Sums of whole minutes, the newest first. */
  get minutes() {
    const minutes = new Map();
    for (const bin of this.bins.values()) {
      const at = bin.at - (bin.at % MINUTE);
      if (!minutes.has(at)) minutes.set(at, new Sum(at));
      minutes.get(at).add(bin);
    }
    return [...minutes.values()].sort((a, b) => b.at - a.at);
  }
}

// ---- Charts

/** The smallest number of few digits that is not below. */
function roundUp(number, least) {
  if (number <= least) return least;
  const power = 10 ** Math.floor(Math.log10(number));
  return power * [1, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= number * 0.9999);
}

const PATTERNS = { denied: "url(#hatched)", refused: "url(#dotted)", failed: "url(#crossed)" };
const places = new ResizeObserver((changes) => {
  for (const change of changes) change.target.chart.resize(change.contentRect.width);
});
const views = new IntersectionObserver((changes) => {
  for (const change of changes) change.target.chart.see(change.isIntersecting);
}, { rootMargin: "300px" });
/** Pixels for words, above and below what is drawn. */
const [TOP, BOTTOM] = [14, 18];
const classOf = (one) => `${one.shape === "area" ? "area" : `line ${one.shape}`} ${one.kind}`;

/**
 * One chart: its title, a legend with values (at the cursor, else of now), a drawing, and the same as a table.
 *
 * A series is `{label, kind, shape, value, minute}`: `kind` is its colour, `shape` "area" (stacked), "line", "dashed"
 * or "points"; `value` takes a number or null of a bin, and `minute` what the table has of a minute.
 */
class Chart {
  constructor(title, { series, unit, least = 1, height = 120, note = "" }) {
    Object.assign(this, { title, series, unit, least, height });
    Object.assign(this, { width: 0, isSeen: false, bins: null, cursor: null, painted: "" });
    this.note = make("p", {}, note);
    this.values = series.map(() => make("b"));
    const legend = series.map((one, index) => make("li", {}, swatch(one), `${one.label} `, this.values[index]));
    this.plot = draw("svg", { class: "plot", role: "img", "aria-label": title });
    this.body = make("tbody");
    const columns = [["Minute", ""], ...series.map((one) => [one.column ?? one.label, "number"])];
    const table = make("table", {}, make("caption", {}, title), heads(columns), this.body);
    const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}, by minute` };
    this.details = make("details", {}, make("summary", {}, "Table"), make("div", region, table));
    this.details.addEventListener("toggle", () => this.tabulate());
    const caption = [make("h3", {}, title), this.note, make("ul", { class: "legend" }, ...legend)];
    this.figure = make("figure", {}, make("figcaption", {}, ...caption), this.plot, this.details);
    this.plot.chart = this;
    places.observe(this.plot);
    views.observe(this.plot);
    for (const kind of ["pointermove", "pointerdown"]) this.plot.addEventListener(kind, (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => look(page.chosen));
  }

  end() {
    places.unobserve(this.plot);
    views.unobserve(this.plot);
    this.figure.remove();
  }

  resize(width) {
    if (Math.abs(width - this.width) < 1) return;
    this.width = width;
    this.paint();
  }

  /** What nobody sees isn't drawn. */
  see(isSeen) {
    this.isSeen = isSeen;
    this.paint();
  }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    look(momentAt(Math.min(BINS - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * BINS)))));
  }

  /** Draws it. `cursor` is the place of a bin, or null. */
  show(bins, cursor) {
    Object.assign(this, { bins, cursor });
    const bin = bins[cursor ?? latest(bins)];
    this.series.forEach((one, index) => put(this.values[index], this.unit(bin ? one.value(bin) : null)));
    this.paint();
    this.tabulate();
  }

  paint() {
    const { bins, cursor } = this;
    if (!bins || !this.isSeen || this.width === 0) return;
    // Within a bin nothing but the newest moves.
    const newest = bins.at(-1);
    const values = this.series.map((one) => newest && one.value(newest));
    const key = [bins.start, history.from, cursor, this.width, ...values].join();
    if (this.painted === key) return;
    this.painted = key;
    const heights = this.stack(bins);
    const highest = Math.max(0, ...heights.flat().map(([, high]) => high ?? 0));
    const top = roundUp(highest, this.least);
    const [width, height] = [this.width, this.height];
    const round = (pixels) => Number(pixels.toFixed(1));
    const x = (place) => round((place / BINS) * width);
    const y = (value) => round(TOP + (height - TOP - BOTTOM) * (1 - value / top));
    const parts = [];
    this.series.forEach((one, index) => {
      const isArea = one.shape === "area";
      const d = outline(heights[index], isArea, x, y);
      if (d === "") return;
      // So that a line is seen above an area too.
      if (!isArea) parts.push(draw("path", { class: "halo", d }));
      parts.push(draw("path", { class: classOf(one), d, fill: isArea && PATTERNS[one.kind] }));
    });
    if (cursor !== null) {
      parts.push(draw("path", { class: "cursor", d: `M${x(cursor + 0.5)} ${TOP}V${y(0)}` }));
    }
    this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.plot.setAttribute("aria-label", `${this.title}: ${this.summary(bins)}`);
    const axes = [...this.axes(bins, top, x, y)];
    this.plot.replaceChildren(...axes.map(([mark]) => mark), ...parts, ...axes.flatMap(([, word]) => word));
  }

  /** By series and bin [low, high], or [null, null] where nothing is known; areas stand on those before. */
  stack(bins) {
    const ground = bins.map(() => 0);
    return this.series.map((one) => bins.map((bin, place) => {
      const value = bin ? one.value(bin) : null;
      if (value === null) return [null, null];
      if (one.shape !== "area") return [0, value];
      ground[place] += value;
      return [ground[place] - value, ground[place]];
    }));
  }

  /** Lines, which are below what is drawn, each with its word, which is above. */
  *axes(bins, top, x, y) {
    for (const value of [0, top / 2, top]) {
      const word = draw("text", { x: 2, y: y(value) - 3 }, this.unit(value));
      yield [draw("path", { class: "grid", d: `M0 ${y(value)}H${this.width}` }), value > 0 ? [word] : []];
    }
    const first = here(bins.start);
    const step = (this.width < 330 ? 5 : 3) * MINUTE;
    for (let at = first - (first % step) + step; at < first + BINS * STEP; at += step) {
      const left = x((at - first) / STEP);
      const anchor = left < 20 ? "start" : left > this.width - 20 ? "end" : "middle";
      const place = { x: left, y: this.height - 3, "text-anchor": anchor };
      const mark = draw("path", { class: "grid", d: `M${left} ${y(0)}v4` });
      yield [mark, [draw("text", place, inWords(at, hours))]];
    }
  }

  /** For who can't see it: what it comes to. */
  summary(bins) {
    return this.series.map((one) => {
      const values = bins.map((bin) => (bin ? one.value(bin) : null)).filter((value) => value !== null);
      if (values.length === 0) return `${one.label} none`;
      return `${one.label} ${this.unit(values.at(-1))} now, ${this.unit(Math.max(...values))} at most`;
    }).join("; ");
  }

  tabulate() {
    if (!this.details.open) return;
    const cell = (sum, one) => (one.minute ? count(one.minute(sum)) : this.unit(one.value(sum)));
    const rows = history.minutes.map((sum) => [
      inWords(here(sum.at), hours), ...this.series.map((one) => cell(sum, one)),
    ]);
    if (!differs(this.body, rows)) return;
    this.body.replaceChildren(...rows.map(([minute, ...values]) => make(
      "tr", {}, make("th", { scope: "row" }, minute), ...values.map((value) => make("td", { class: "number" }, value)),
    )));
  }
}

/** The newest bin is under way: it tells of as many seconds as it has. */
const latest = (bins) => bins.findLastIndex(Boolean);

function swatch(one) {
  const [d, fill] = one.shape === "area" ? ["M1 1H23V11H1Z", PATTERNS[one.kind]] : ["M0 6H24"];
  return draw("svg", { viewBox: "0 0 24 12", "aria-hidden": "true" }, draw("path", { class: classOf(one), d, fill }));
}

/** The head of a table: columns are `[title, class]`. */
function heads(columns) {
  const head = ([title, kind]) => make("th", { scope: "col", class: kind === "number" && kind }, title);
  return make("thead", {}, make("tr", {}, ...columns.map(head)));
}

/** Steps over the bins at which there is something; of an area, back below them too. */
function outline(heights, isArea, x, y) {
  const step = (value, place) => `V${y(value)}H${x(place)}`;
  let [path, back] = ["", ""];
  for (const [place, [low, high]] of [...heights, [null, null]].entries()) {
    if (isArea ? high > low : high !== null) {
      if (back === "") path += `M${x(place)} ${y(high)}`;
      path += step(high, place + 1);
      back = step(low, place) + back;
    } else if (back !== "") {
      if (isArea) path += `${back}Z`;
      back = "";
    }
  }
  return path;
}

/** A series of counts: drawn by the second, counted by the minute in the table. */
function rate(label, kind, shape, take, column = label) {
  return { label, column, kind, shape, value: (bin) => take(bin) / bin.seconds, minute: take };
}
const level = (label, kind, shape, value) => ({ label, kind, shape, value });

// ---- The charts that are always there

const percentiles = (title, p50, p99, height) => new Chart(title, {
  unit: milliseconds, height, note: "The worst second of each 5 s.",
  series: [level("p99", "denied", "line", p99), level("p50", "allowed", "dashed", p50)],
});

const asked = (kind, name, what, done, undone) => [
  new Chart(`${name}: ${what} per second`, {
    unit: perSecond,
    series: [
      rate(done, "allowed", "line", (sum) => sum[kind][0]), rate(undone, "failed", "points", (sum) => sum[kind][1]),
    ],
  }),
  percentiles(`${name}: latency`, (sum) => sum[kind][2], (sum) => sum[kind][3]),
];

const charts = {
  traffic: [
    new Chart("Requests per second", {
      unit: perSecond, height: 200,
      note: "Denied: over a limit. Refused: no key, right or route. Failed: handler, Redis or room.",
      series: CLASSES.map((kind) => rate(kind, kind, "area", (sum) => sum[kind])),
    }),
    percentiles("Latency of whole requests", (sum) => sum.p50, (sum) => sum.p99, 200),
  ],
  backend: [
    ...asked("redis", "Redis", "decisions", "by Redis", "without Redis"),
    ...asked("handler", "Handler", "requests", "requests", "failed"),
    new Chart("Open connections and streams", {
      unit: plain,
      series: [
        level("connections of clients", "allowed", "line", (sum) => sum.connections),
        level("streams", "second", "dashed", (sum) => sum.streams),
      ],
    }),
  ],
};

/** Small charts, one a name; of many names those with most traffic, chosen anew each minute. */
class Multiples {
  static most = 12;

  constructor(place, chart) {
    Object.assign(this, { place, chart, charts: new Map(), chosen: [], minute: null });
  }

  show(names, weight, bins, cursor) {
    const minute = Math.floor(history.last / 60);
    if (names.length <= Multiples.most) this.chosen = names;
    else if (this.minute !== minute || !this.chosen.every((name) => names.includes(name))) {
      const busiest = new Set([...names].sort((a, b) => weight(b) - weight(a)).slice(0, Multiples.most));
      this.chosen = names.filter((name) => busiest.has(name));
    }
    this.minute = minute;
    if (differs(this.place, this.chosen)) {
      for (const [name, chart] of this.charts) if (!this.chosen.includes(name)) this.charts.delete(name) && chart.end();
      for (const name of this.chosen) if (!this.charts.has(name)) this.charts.set(name, this.chart(name));
      this.place.replaceChildren(...this.chosen.map((name) => this.charts.get(name).figure));
    }
    for (const name of this.chosen) this.charts.get(name).show(bins, cursor);
  }

  clear() {
    for (const chart of this.charts.values()) chart.end();
    this.charts.clear();
    shown.delete(this.place);
  }
}

let modes = new Map();
const policyCharts = new Multiples($("policy-charts"), (name) => new Chart(name, {
  unit: perSecond, height: 96,
  series: [
    rate("allowed", "allowed", "area", (sum) => sum.policy(name)[0]),
    rate("denied", "denied", "area", (sum) => sum.policy(name)[1]),
    ...(modes.get(name) === "enforce" ? []
      : [rate("would deny", "second", "dashed", (sum) => sum.policy(name)[2], "would have denied")]),
  ],
}));
const routeCharts = new Multiples($("route-charts"), (name) => new Chart(routeName(name), {
  unit: perSecond, height: 96,
  series: [
    rate("others", "allowed", "area", (sum) => sum.route(name)[0] - sum.route(name)[1]),
    rate("denied", "denied", "area", (sum) => sum.route(name)[1]),
  ],
}));
const routeLatencies = new Multiples($("route-latencies"), (name) => new Chart(`${routeName(name)}: latency`, {
  unit: milliseconds, height: 96, series: [level("p99", "denied", "line", (sum) => sum.route(name)[2])],
}));
/** As the wire calls what no route took. */
function routeName(name) {
  return name === "" ? "no route" : name;
}

// ---- Tables and lists

/** A column is `[title, class, cell]`; a cell is text, an element, or `[text, class]`. */
function table(element, caption, columns, rows, none, key = rows) {
  if (!differs(element, [caption, key])) return;
  const cell = ([, kind, take], row) => {
    const [content, more] = [take(row)].flat();
    return make("td", { class: [kind, more].filter(Boolean).join(" ") || null }, content ?? "–");
  };
  const body = rows.map((row) => make("tr", {}, ...columns.map((column) => cell(column, row))));
  if (rows.length === 0) body.push(make("tr", {}, make("td", { class: "none", colspan: columns.length }, none)));
  element.replaceChildren(make("caption", {}, caption), heads(columns), make("tbody", {}, ...body));
}

/** Terms and what is to be said of them: text, or `[text, class]`. */
function facts(element, pairs) {
  if (!differs(element, pairs)) return;
  element.replaceChildren(...pairs.map(([term, what]) => {
    const [text, kind] = [what].flat();
    return make("div", {}, make("dt", {}, term), make("dd", { class: kind }, text ?? "–"));
  }));
}

// ---- The parts of the page

const history = new History();
const page = {
  hello: null, state: null, link: { word: "connecting" },
  /** Whether the state has come by the stream that is read now. */
  isCurrent: false,
  /** The moment that the charts tell of, the one they go back to, and where the first is. */
  moment: null, chosen: null, cursor: null,
  /** The version it came from, and why it can't make sense of what its sidecar sends. */
  version: null, flaw: null,
};

const LEVELS = ["good", "warn", "bad"];
const SIGNS = { good: "✓", warn: "!", bad: "✕", off: "‖" };
/** Requests are served, if not as they should be. */
const WORDS = { ready: "good", ok: "good", degraded: "warn", starting: "warn", draining: "warn" };

/** Of a part that failed: beyond one in twenty it is red, as the alert rules have it. */
const grade = (part, of) => (part === 0 ? "" : part * 20 > of ? "bad" : "warn");

/** What is not as it should be, the worst first: `{level, text, to}`. `to` is the part of the page that has more. */
function problems() {
  const { state, hello, version } = page;
  const found = [];
  const tell = (level, to, text) => found.push({ level, text, to });
  if (!state || page.flaw) return found;
  if (hello && hello.version !== version) {
    tell("warn", null, `The sidecar is of version ${hello.version}, this page of ${version}: reload it.`);
  }
  aboutSettings(state, tell);
  aboutFleet(state.fleet, tell);
  aboutTraffic(history.within(MINUTE), tell);
  const soon = state.expiring?.["24h"] ?? 0;
  if (soon > 0) tell("warn", "keys", `${many(soon, "key")} ${soon === 1 ? "expires" : "expire"} within a day.`);
  return found.sort((a, b) => LEVELS.indexOf(b.level) - LEVELS.indexOf(a.level));
}

function aboutSettings({ configuration, openapi, loops_unheard: unheard }, tell) {
  const { last_reload: reload, warnings } = configuration;
  const errors = reload?.errors ?? [];
  if (errors.length > 0) {
    tell("bad", "configuration", `The last reload failed, all stays as it was: ${errors.join("; ")}`);
  }
  if (openapi?.error) tell("bad", "configuration", `Routes of documents aren't at work: ${openapi.error}`);
  for (const { url, error } of openapi?.documents ?? []) {
    if (error) tell("bad", "configuration", `${url} can't be read: ${error}`);
  }
  if (unheard > 0) tell("bad", null, `No answer from ${many(unheard, "event loop")}: requests there wait.`);
  if (warnings.length > 0) tell("warn", "configuration", `The configuration has ${many(warnings.length, "warning")}.`);
}

function aboutFleet(fleet, tell) {
  const { policies, versions } = compared(fleet);
  if (policies.size > 1) tell("bad", "fleet", `Sidecars of the fleet count by ${policies.size} sets of policies.`);
  if (versions.size > 1) tell("bad", "fleet", `Sidecars of the fleet run ${versions.size} versions.`);
  if (!fleet.known && fleet.reason) tell("warn", "fleet", `The fleet is unknown: ${fleet.reason}`);
}

function aboutTraffic(minute, tell) {
  const [answered, without] = minute.redis;
  if (without > 0) {
    const text = `${many(without, "decision")} of the last minute had to do without Redis.`;
    tell(grade(without, answered + without), "redis", text);
  }
  const [requests, failed] = minute.handler;
  if (failed > 0) {
    const text = `The handler failed ${count(failed)} of ${many(requests, "request")} in the last minute.`;
    tell(grade(failed, requests), "redis", text);
  }
  if (minute.failed > 0) {
    const text = `${count(minute.failed)} of the last minute's ${many(minute.requests, "request")} failed.`;
    tell(grade(minute.failed, minute.requests), "why", text);
  }
  for (const [kind, to, why] of [["denied", "top", "over a limit"], ["refused", "why", "refused for other reasons"]]) {
    if (minute[kind] * 5 <= minute.requests) continue;
    tell("warn", to, `${share(minute[kind], minute.requests)} of the last minute's requests were ${why}.`);
  }
}

function inOneLine() {
  const { state, link, hello, flaw } = page;
  if (flaw) return ["bad", `This page doesn't understand its sidecar: reload it. (${flaw})`];
  if (link.word === "waiting") return ["warn", `Waiting to be let in: ${link.why}. Trying again by itself.`];
  if (link.word === "no answer") {
    const who = hello ? "The sidecar doesn't answer" : "No sidecar answers here";
    return ["bad", `${who}, since ${inWords(link.since)}: ${link.why}. Trying again by itself.`];
  }
  if (!state) return ["warn", "Connecting …"];
  const { status, detail, since } = state.status;
  if (link.word === "paused") return ["warn", `Paused at ${inWords(link.since)}. The last state was: ${status}`];
  if (!page.isCurrent) return ["warn", `Connecting …; the last state was: ${status}`];
  const begun = since ? `, since ${inWords(instant(since))}` : "";
  return [WORDS[status] ?? "bad", `${capital(status)}${begun}${detail ? `: ${detail}` : ""}`];
}

function showState() {
  const { link } = page;
  const found = problems();
  const [level, text] = inOneLine();
  put($("status"), `${SIGNS[level]} ${text}`, level);
  if (level === "good" && found.length === 0) found.push({ level, text: "Nothing needs you." });
  showProblems(found);
  document.body.classList.toggle("stale", !page.isCurrent);
  put($("link"), capital(link.word));
  put($("pause"), stream.isPaused ? "Resume" : "Pause");
  entitle(LEVELS[Math.max(...[level, ...found.map((one) => one.level)].map((one) => LEVELS.indexOf(one)))]);
}

/** Each in its place, so that a link keeps its focus; what is newly red is spoken. */
function showProblems(found) {
  const list = $("problems");
  while (list.children.length > found.length) list.lastChild.remove();
  found.forEach(({ level, text, to }, place) => {
    const item = list.children[place] ?? list.appendChild(make("li", {}, make("span"), make("a", {}, "More")));
    if (item.className !== `problem ${level}`) item.className = `problem ${level}`;
    put(item.firstChild, `${SIGNS[level]} ${text} `);
    item.lastChild.hidden = !to;
    item.lastChild.href = `#${to}`;
  });
  // Numbers that move on are nothing new.
  const red = found.filter((one) => one.level === "bad").map(({ text }) => text.replace(/\d+([.,]\d+)*/g, "…"));
  put($("alarm"), red.join(" "));
}

const COLOURS = { good: "%230a6b3d", warn: "%23b35900", bad: "%23a31515", off: "%23808890" };

/** What is seen of the page while another one is in front: its title and its icon. */
function entitle(level) {
  const { state, link, hello, flaw, isCurrent } = page;
  const worst = link.word === "paused" ? "off" : level;
  const word = flaw ? "not understood" : isCurrent ? state.status.status : link.word;
  const text = [`${SIGNS[worst]} ${word}`, hello?.name, "Tollgate"].filter(Boolean).join(" · ");
  if (document.title !== text) document.title = text;
  const icon = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'>"
    + `<circle cx='4' cy='4' r='4' fill='${COLOURS[worst]}'/></svg>`;
  if ($("icon").getAttribute("href") !== icon) $("icon").setAttribute("href", icon);
}

function showAbout() {
  const { hello } = page;
  if (!hello) return;
  put($("name"), hello.name);
  const up = duration(Math.max(0, now() - here(hello.started)));
  const doors = hello.listeners.length > 0 ? `, listens on ${hello.listeners.join(", ")}` : "";
  put($("about"), `Version ${hello.version}, up ${up}${doors}`);
}

const FIGURES = [
  ["Requests", "requests"], ["Denied", "denied"], ["Refused", "refused"], ["Failed", "failed"],
  ["Latency, p99", "latency"], ["Redis, p99", "redis"], ["Handler, p99", "handler"], ["Open connections", "open"],
];
const figures = new Map(FIGURES.map(([term, id]) => {
  const value = make("div", { class: "value", id: `${id}-now` });
  const more = make("div", { class: "more", id: `${id}-more` });
  $("figures").append(make("div", {}, make("dt", {}, term), make("dd", {}, value, more)));
  return [id, { value, more }];
}));

/** Of the last ten seconds in large, of 15 minutes in small; in the colour that the last minute's problems have. */
function showFigures(total) {
  const [sum, minute] = [history.within(10), history.within(MINUTE)];
  const each = (number) => perSecond(sum.seconds ? number / sum.seconds : null);
  const tell = (id, value, more, kind = "") => {
    put(figures.get(id).value, value, `value ${kind}`.trim());
    put(figures.get(id).more, more);
  };
  tell("requests", each(sum.requests), `${count(total.requests)} in 15 min`);
  for (const kind of ["denied", "refused", "failed"]) {
    const more = `${count(total[kind])} in 15 min, ${share(total[kind], total.requests)}`;
    tell(kind, each(sum[kind]), more, kind === "failed" ? grade(minute.failed, minute.requests) : "");
  }
  tell("latency", milliseconds(sum.p99), `p50 ${milliseconds(sum.p50)}, of the worst second`);
  const [answered, without, , slowest] = sum.redis;
  const decisions = `${each(answered)} decisions, ${count(without)} without it`;
  tell("redis", milliseconds(slowest), decisions, grade(minute.redis[1], minute.redis[0] + minute.redis[1]));
  const [sent, failed, , longest] = sum.handler;
  const requests = `${each(sent)} requests, ${count(failed)} failed`;
  tell("handler", milliseconds(longest), requests, grade(minute.handler[1], minute.handler[0]));
  const last = history.recent.at(-1);
  tell("open", last ? count(last.connections) : "–", last ? many(last.streams, "stream") : "");
}

/** In the order of the configuration, then what has counted and is configured no more. */
const namesOf = (configured, counted) => [...new Set([...configured, ...counted.keys()])];

function showPolicies(total, bins) {
  const byName = new Map((page.hello?.policies ?? []).map((policy) => [policy.name, policy]));
  const names = namesOf(byName.keys(), total.policies);
  const rows = names.map((name) => ({ name, ...byName.get(name), sums: total.policy(name) }));
  const weight = (name) => total.policy(name)[0] + total.policy(name)[1];
  policyCharts.show(names, weight, bins, page.cursor);
  for (const row of rows) {
    const chart = policyCharts.charts.get(row.name);
    if (chart) put(chart.note, aboutPolicy(row));
  }
  showTrial(rows);
  if (!$("policy-table").closest("details").open) return;
  table($("policy-table"), "Policies, last 15 minutes", [
    ["Policy", "free", (row) => row.name], ["Limit", "", (row) => row.limit], ["Per", "", (row) => row.per],
    ["Mode", "", modeOf], ["Allowed", "number", (row) => count(row.sums[0])],
    ["Denied", "number", (row) => count(row.sums[1])], ["Would have denied", "number", (row) => count(row.sums[2])],
  ], rows, "No policy is configured.");
}

const modeOf = (row) => row.mode ?? "no longer configured";
const isTried = (row) => (row.mode ? row.mode !== "enforce" : row.sums[2] > 0);

function aboutPolicy(row) {
  const [allowed, denied, shadow] = row.sums;
  const what = row.mode ? `${row.limit} per ${row.per}${isTried(row) ? `, in trial (${row.mode})` : ""}` : modeOf(row);
  const trial = isTried(row) ? `, would have denied ${count(shadow)}` : "";
  return `${what}: ${count(allowed)} allowed, ${count(denied)} denied${trial} in 15 min`;
}

/** What enforcing them would have refused, beyond what those at a percentage deny already. */
function showTrial(rows) {
  const since = new Map((page.state?.trial ?? []).map((one) => [one.policy, one]));
  const refused = (part, of) => `${count(part)} of ${count(of)}, ${share(part, of)}`;
  const ever = (row) => {
    const one = since.get(row.name);
    return one && refused(one.would_have_refused, one.would_have_refused + one.would_have_allowed);
  };
  const tried = rows.filter(isTried);
  table($("trial-table"), "Enforcing them would have refused in addition", [
    ["Policy", "free", (row) => row.name], ["Mode", "", modeOf],
    ["In 15 min, of all", "", (row) => refused(row.sums[2], row.sums[0] + row.sums[1])],
    ["Since it is so, of those in trial", "", ever],
  ], tried, "No policy is in trial: all are enforced.", tried.map((row) => [row, ever(row)]));
}

function showRoutes(total, bins) {
  const names = namesOf(page.hello?.routes ?? [], total.routes);
  for (const kind of [routeCharts, routeLatencies]) {
    kind.show(names, (name) => total.route(name)[0], bins, page.cursor);
  }
  for (const [name, chart] of routeCharts.charts) {
    const [requests, denied, p99] = total.route(name);
    const worst = `p99 ${milliseconds(p99)} in the worst second of 15 min`;
    put(chart.note, `${many(requests, "request")}, ${count(denied)} denied, ${worst}`);
  }
  if (!$("route-table").closest("details").open) return;
  table($("route-table"), "Routes, last 15 minutes", [
    ["Route", "free", ([name]) => routeName(name)], ["Requests", "number", ([, sums]) => count(sums[0])],
    ["Denied", "number", ([, sums]) => count(sums[1])],
    ["p99, worst second", "number", ([, sums]) => milliseconds(sums[2])],
  ], names.map((name) => [name, total.route(name)]), "No route is configured.");
}

function showWho({ top }) {
  put($("top-since"), top ? `Counted since ${inWords(here(top.since))}.` : "Not counted yet.");
  // Of very many callers a sidecar keeps the foremost, and knows how far a count may be too high.
  const counted = (row) => (row.error > 0 ? `${count(row.count - row.error)} to ` : "") + count(row.count);
  const key = ["Key", "code free", (row) => row.key];
  const organization = ["Organization", "free", (row) => row.organization];
  for (const [id, who, what, rows] of [
    ["callers", key, "Calls", top?.callers], ["organizations", organization, "Calls", top?.organizations],
    ["denied", key, "Denied", top?.denied], ["denied-organizations", organization, "Denied", top?.denied_organizations],
  ]) {
    table($(id), `${what} most, by ${who[0].toLowerCase()}`, [who, [what, "number", counted]], rows ?? [], "Nobody.");
  }
}

function showRefusals({ refusals }) {
  table($("refusals"), `${many(refusals.length, "refusal")}, the newest first`, [
    ["Time", "", (row) => moment(here(row.at))], ["Status", "number", (row) => row.status && String(row.status)],
    ["Reason", "", (row) => row.reason], ["Policy", "free", (row) => row.policy], ["Route", "free", (row) => row.route],
    ["Client", "code", (row) => row.client], ["Key", "code", (row) => row.key],
    ["Correlation ID", "code", (row) => row.id],
  ], refusals, "Nobody was refused since the start.", refusals.map((row) => [row, inWords(here(row.at))]));
}

function counts(members, words = {}) {
  return Object.entries(members).map(([name, number]) => `${count(number)} ${words[name] ?? name}`).join(", ");
}
const BREAKERS = { closed: "ask it", open: "do without", half_open: "try it again" };

function showBackends({ redis, upstream }) {
  facts($("redis-facts"), redis === null ? [["Redis", "not asked yet"]] : [
    ["Redis", redis.address],
    ["State", redis.ok ? ["✓ of use", "good"] : [`✕ ${redis.reason}: ${redis.detail}`, "bad"]],
    ["Event loops", counts(redis.breaker, BREAKERS)], ["Commands in flight", count(redis.commands_in_flight)],
  ]);
  facts($("handler-facts"), upstream === null ? [["Handler", "not asked yet"]] : [
    ["Handler", upstream.address],
    ["Resolved", upstream.resolved.length > 0 ? upstream.resolved.join(", ") : ["✕ to nothing", "bad"]],
    ["Connections to it", counts(upstream.connections)],
  ]);
}

/** The sets of policies and the versions of a fleet. */
function compared({ sidecars }) {
  const [policies, versions] = ["policies", "version"].map((name) => new Set(sidecars.map((one) => one[name])));
  return { policies, versions, own: sidecars.find((one) => one.self) };
}

function showFleet({ fleet }) {
  const { policies, versions, own } = compared(fleet);
  const differ = policies.size > 1 || versions.size > 1;
  const [note, kind] = !fleet.known ? [`Redis doesn't tell: ${fleet.reason}`, "warn"]
    : differ ? ["✕ They differ: two sidecars may decide differently about the same caller.", "bad"]
      : [own ? `${many(fleet.sidecars.length, "sidecar")}, of one version, with one set of policies.` : "", ""];
  put($("fleet-note"), note, kind);
  const mark = (text, isOther) => (isOther ? [`✕ ${text}`, "bad"] : text);
  const isOther = (one, name, values) => values.size > 1 && own && one[name] !== own[name];
  // Ages change each second, and a table that is made anew loses what a reader has selected in it.
  const age = (one) => (one.heard_seconds_ago < 30 ? "just now" : `${duration(one.heard_seconds_ago)} ago`);
  table($("fleet-table"), "Sidecars", [
    ["Name", "free", (one) => `${one.name}${one.self ? " (this one)" : ""}`],
    ["Version", "", (one) => mark(one.version ?? "unknown", isOther(one, "version", versions))],
    ["Policies", "code", (one) => mark(one.policies.slice(0, 8), isOther(one, "policies", policies))],
    ["Heard", "", age],
  ], fleet.sidecars, "None is known.", fleet.sidecars.map((one) => [one.name, one.version, one.policies, age(one)]));
}

function showConfiguration({ configuration }) {
  const { file, hash, last_reload: reload, warnings } = configuration;
  const at = reload && inWords(instant(reload.at), dated);
  const failed = () => [`✕ ${at}: ${reload.errors.join("; ")}`, "bad"];
  facts($("configuration-facts"), [
    ["File", file ?? "none: flags, variables and defaults"], ["SHA-256", [hash, "code"]],
    ["Last reload", !reload ? "none since the start" : reload.ok ? `✓ ${at}` : failed()],
    ["Warnings", warnings.length === 0 ? "none" : [count(warnings.length), "warn"]],
  ]);
  if (!differs($("warnings"), warnings)) return;
  $("warnings").replaceChildren(...warnings.map((text) => make("li", { class: "problem warn" }, `! ${text}`)));
}

function showKeys({ expiring }) {
  put($("keys-note"), !expiring ? "Nobody has counted them lately." : `Within a day ${count(expiring["24h"])}, `
    + `within a week ${count(expiring["7d"])}, within 30 days ${count(expiring["30d"])}.`);
  const first = expiring?.first ?? [];
  table($("keys-table"), "The next first", [
    ["Key", "code free", (key) => key.key],
    ["Expires", "", (key) => moment(key.expires, dated)],
    ["In", "", (key) => [left(key), key.expires - now() < DAY ? "bad" : ""]],
  ], first, "None expires soon.", first.map((key) => [key, left(key)]));
}
const left = (key) => (key.expires > now() ? duration(key.expires - now()) : "expired");

// ---- Drawing what changed

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const due = new Set();

/** Once in the next frame, however much changes before it. There is no frame where nothing does. */
function show(...parts) {
  if (due.size === 0) requestAnimationFrame(render);
  for (const part of parts) due.add(part);
}

function render() {
  const parts = new Set(due);
  due.clear();
  attempt(showState);
  attempt(showAbout);
  if (parts.has("state") && page.state) {
    for (const part of [showWho, showRefusals, showBackends, showFleet, showConfiguration, showKeys]) {
      attempt(part, page.state);
    }
  }
  if (parts.has("samples")) {
    const total = history.total;
    attempt(showFigures, total);
    // Where motion is to be less, charts move with each bin.
    if (parts.has("all") || !calm.matches || page.drawn !== history.end) attempt(showCharts, total);
  }
}

/** Where one part fails, by what another version sends, the others go on, and the state tells of it. */
function attempt(part, ...more) {
  try {
    part(...more);
  } catch (error) {
    if (page.flaw) return;
    page.flaw = error.message;
    show("state");
  }
}

/** When what the charts show began. */
const start = () => history.end - (BINS - 1) * STEP;

function showCharts(total) {
  page.drawn = history.end;
  const bins = history.all;
  bins.start = start();
  // The moment stays, while the charts move on.
  page.cursor = page.moment !== null && page.moment >= bins.start ? (page.moment - bins.start) / STEP : null;
  for (const chart of [...charts.traffic, ...charts.backend]) chart.show(bins, page.cursor);
  showPolicies(total, bins);
  showRoutes(total, bins);
  const at = bins.start + (page.cursor ?? BINS - 1) * STEP;
  const text = page.cursor === null ? "now" : inWords(here(at));
  put($("cursor-time"), text);
  $("cursor").setAttribute("aria-valuetext", text);
  $("cursor").value = page.cursor ?? BINS - 1;
}

const momentAt = (place) => (place === BINS - 1 ? null : start() + place * STEP);

function look(moment) {
  if (page.moment === moment) return;
  page.moment = moment;
  show("samples", "all");
}

// ---- The stream

const events = {
  hello(hello) {
    const { version, name, started } = page.hello ?? hello;
    page.version ??= version;
    if (started !== hello.started || name !== hello.name) {
      // It is another one, or has begun anew: it has a history of its own.
      history.clear();
      page.isCurrent = false;
      if (stream.isResumed) {
        disconnect();
        setTimeout(connect);
      }
    }
    if (JSON.stringify(page.hello?.policies) !== JSON.stringify(hello.policies)) policyCharts.clear();
    modes = new Map(hello.policies.map((policy) => [policy.name, policy.mode]));
    page.hello = hello;
    compare(hello.now);
    link({ word: "live" });
    show("samples", "all");
  },
  history({ samples }) {
    for (const sample of samples) history.add(sample);
    show("samples", "all");
  },
  sample(sample) {
    history.add(sample);
    // It comes when its second is over.
    compare(sample.at + 1, 2);
    show("samples");
  },
  state(state) {
    Object.assign(page, { state, isCurrent: true });
    show("state");
  },
};

/** Nothing for so long, where a sample comes each second: nobody is there any more. */
const SILENCE = 6_000;
/** Between two attempts, the first and the longest. */
const [FIRST_WAIT, LONGEST_WAIT] = [1_000, 5_000];
/** Characters of one event: what 100 samples with many routes come to, with room. */
const LONGEST_EVENT = 16_000_000;

/** One event of the stream, as the HTML standard has them: lines of a field and its value. */
function take(text) {
  let [name, data] = ["message", ""];
  for (const row of text.split("\n")) {
    if (row.startsWith("event:")) name = row.slice(6).trim();
    if (row.startsWith("data:")) data += row.slice(5);
  }
  if (data !== "" && Object.hasOwn(events, name)) attempt(() => events[name](JSON.parse(data)));
}

/** Reads one stream until it ends, which it does by throwing. */
async function follow(controller) {
  let silence = 0;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => controller.abort(new Error("nothing has come for 6 s")), SILENCE);
  };
  heard();
  try {
    stream.isResumed = history.last > 0;
    const headers = stream.isResumed ? { "Last-Event-ID": String(history.last) } : {};
    const answer = await fetch("page/events", { headers, signal: controller.signal, cache: "no-store" });
    if (answer.headers.get("Content-Type") !== "text/event-stream") throw await refusal(answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("it has ended the connection");
      heard();
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      if (text.length > LONGEST_EVENT) throw new Error("what it sends has no end");
      // One of them may be the reason to read another stream.
      for (const part of parts) if (!controller.signal.aborted) take(part);
    }
  } finally {
    clearTimeout(silence);
    controller.abort();
  }
}

/** Why there is no stream, as the sidecar tells it, and after how many milliseconds there may be one. */
async function refusal(answer) {
  const problem = await answer.json().catch(() => null);
  const why = `it answers ${answer.status}${problem?.detail ? `, ${problem.detail}` : ""}`;
  return Object.assign(new Error(why), { wait: Number(answer.headers.get("Retry-After")) * 1000 });
}

function link(to) {
  page.link = to;
  if (to.word !== "live") page.isCurrent = false;
  show("link");
}

/** The stream that is read, if one is, and the wait for the next. */
const stream = { controller: null, timer: 0, wait: FIRST_WAIT, isPaused: false, isResumed: false };

async function connect() {
  clearTimeout(stream.timer);
  if (stream.controller || stream.isPaused || document.hidden) return;
  const controller = new AbortController();
  stream.controller = controller;
  const began = Date.now();
  try {
    await follow(controller);
  } catch (error) {
    if (stream.controller !== controller) return;
    stream.controller = null;
    if (Date.now() - began > LONGEST_WAIT) stream.wait = FIRST_WAIT;
    // Browsers word it each in its own way.
    const why = error instanceof TypeError ? "it can't be reached" : error.message.replace(/\.$/, "");
    const word = error.wait > 0 ? "waiting" : "no answer";
    link({ word, since: page.link.word === word ? page.link.since : now(), why });
    stream.timer = setTimeout(connect, Math.min(error.wait || stream.wait, 60_000));
    stream.wait = Math.min(LONGEST_WAIT, stream.wait * 2);
  }
}

function disconnect() {
  clearTimeout(stream.timer);
  const { controller } = stream;
  stream.controller = null;
  controller?.abort();
}

/** A page that nobody sees reads nothing; when it is seen again, what it missed comes first. */
function watch() {
  if (stream.isPaused || document.hidden) {
    disconnect();
    link({ word: "paused", since: now() });
    // At once: what nobody sees has no next frame.
    entitle();
  } else {
    stream.wait = FIRST_WAIT;
    if (page.link.word === "paused") link({ word: "connecting" });
    connect();
  }
}

addEventListener("beforeprint", () => {
  put($("printed"), `Printed on ${new Date().toDateString()}, ${inWords(now(), clock)}.`);
  for (const plot of document.querySelectorAll("svg.plot")) plot.chart.see(true);
});
$("pause").addEventListener("click", () => {
  stream.isPaused = !stream.isPaused;
  watch();
});
document.addEventListener("visibilitychange", watch);
function choose(moment) {
  page.chosen = moment;
  look(moment);
}
$("cursor").addEventListener("input", () => choose(momentAt(Number($("cursor").value))));
$("cursor-now").addEventListener("click", () => choose(null));
for (const details of document.querySelectorAll("main > section > details")) {
  details.addEventListener("toggle", () => show("samples", "all"));
}
$("traffic-charts").append(...charts.traffic.map((chart) => chart.figure));
$("backend-charts").append(...charts.backend.map((chart) => chart.figure));
put($("zone"), `Times are in ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`);
for (const box of document.querySelectorAll(".scroll")) fill(box, { tabindex: 0, role: "region" }, []);
for (const section of document.querySelectorAll("section")) {
  section.setAttribute("aria-label", section.querySelector("h2").textContent);
}
watch();
