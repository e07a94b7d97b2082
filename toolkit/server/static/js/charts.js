// Charts of metrics: one card a key, made when it comes near the window, of one or many runs.
import { bars, lines, pointOf } from "./chart_look.js";
import { csv, save, sentence, tabulate } from "./chart_values.js";
import { begun, extentOf, fetchSeries, isWhole, lineOf, stepsWithin } from "./series.js";
import { token } from "./tokens.js";

const LIVE_CANVASES = 30; // browsers keep few alive
const PATIENCE = 200; // ms until what is turned or zoomed is asked for again

const cards = new Map();
const page = { runs: [], pinned: new Set(), hovered: null };
const told = document.getElementById("chart-data");
const form = document.getElementById("chart-options");
const library = told ? import("../vendor/echarts-6.1.0/echarts.min.js") : null;
let zoom = null; // the x that all charts look at
let syncing = false;

function options() {
  const data = new FormData(form);
  return { axis: data.get("x") || "step", log: data.get("log") === "1", smooth: Number(data.get("smooth") || 0) };
}

/** Return how many points of each run a chart can show: as the page says, but two a pixel where it is wide. */
function pointsOf(card) {
  const wide = card.element.classList.contains("whole") ? 2 * card.canvas.clientWidth : 0;
  return Math.max(page.points, Math.min(wide, Math.floor(page.most / page.runs.length)));
}

/** Fetch what a card shows now: its histories, and more points of what is looked at; the last question counts. */
async function ask(card, fresh = true) {
  const turn = (card.turn = (card.turn || 0) + 1);
  const { axis, smooth } = options();
  const how = { prefix: document.body.dataset.prefix, runs: page.runs.map((run) => run.id), points: pointsOf(card), smooth };
  const kind = `${how.points} ${smooth}`;
  const full = fresh || card.kind !== kind ? await fetchSeries(card.key, how) : card.full;
  const starts = new Map(full.map((each) => [each.run_id, each.timestamps[0]]));
  let near = null;
  if (zoom && !full.every(isWhole)) {
    const [from, to] = stepsWithin(full, axis, starts, zoom);
    near = from <= to ? await fetchSeries(card.key, { ...how, from, to }) : null;
  }
  if (turn === card.turn) {
    Object.assign(card, { full, near, starts, kind });
  }
}

function plan(card) {
  clearTimeout(card.planned);
  card.planned = setTimeout(async () => {
    try {
      await ask(card, false);
      draw(card);
    } catch (error) {
      say(card, String(error.message || error));
    }
  }, PATIENCE);
}

function say(card, text) {
  card.element.querySelector(".caption").textContent = text;
}

function caption(card, count, how) {
  card.told = [count, how];
  const said = [];
  if (count.total > count.shown) {
    said.push(`${count.shown.toLocaleString("en")} of ${count.total.toLocaleString("en")} points${card.near ? " here" : ""}`);
  }
  if (how.smooth > 0) {
    const isRough = (card.near ?? card.full).some((each) => each.rough);
    said.push(`smoothed ${how.smooth}${isRough ? " over the points that are drawn" : ""}`);
  }
  if (count.strange) {
    said.push(`${count.strange} not finite`);
  }
  if (count.below) {
    said.push(`${count.below} ${count.below === 1 ? "value" : "values"} ≤ 0 not on a log axis`);
  }
  if (zoom && card.extent && !seenBy(card)) {
    said.push("no point at these steps: all are shown");
  }
  if (card.full.length < page.runs.length) {
    said.push(`${card.full.length} of ${page.runs.length} runs have it`);
  }
  say(card, said.join(" · "));
}

function draw(card) {
  if (!card.chart || !card.full) {
    return;
  }
  if (!card.full.length) {
    say(card, "No points.");
    card.element.dataset.drawn = "1";
    return;
  }
  const how = options();
  const view = { ...page, starts: card.starts, sentence: sentence(card.key, card.full) };
  Object.defineProperty(view, "hovered", { get: () => page.hovered });
  view.under = () => card.element.matches(":hover");
  card.view = view;
  card.canvas.setAttribute("aria-label", view.sentence);
  if (card.full.every((each) => each.total <= 1)) {
    card.chart.setOption(bars(card.full, view), { notMerge: true });
    caption(card, { shown: 0, total: 0, strange: card.full.filter((each) => !Number.isFinite(each.values[0])).length, below: 0 }, { smooth: 0 });
  } else {
    const shown = card.near ?? card.full;
    card.extent = extentOf(card.full, how.axis, card.starts);
    const { option, count } = lines(shown, view, how, card.extent, seenBy(card));
    card.chart.setOption(option, { notMerge: true });
    caption(card, count, how);
    if (how.smooth > 0 && shown.some((each) => lineOf(each, how.smooth) === null)) {
      plan(card);
    }
  }
  card.element.dataset.drawn = "1";
  (window.requestIdleCallback || setTimeout)(() => tabulate(card, page.runs));
}

async function show(card) {
  const { clientWidth: width, clientHeight: height } = card.canvas; // read before any chart changes the page
  if (card.chart || card.coming || !width) {
    return;
  }
  card.coming = true;
  try {
    const [echarts] = await Promise.all([library, card.full ? null : ask(card)]); // points come while the library is read
    card.chart = echarts.init(card.canvas, null, { renderer: "canvas", width, height });
    card.chart.group = "metrics";
    echarts.connect("metrics");
    listen(card);
    draw(card);
  } catch (error) {
    say(card, String(error.message || error));
  } finally {
    card.coming = false;
  }
}

/** Return the run whose line is at a place: of those that share one line, the one with the nearest point. */
function runAt(card, { seriesId, event }) {
  if (seriesId !== "others") {
    return seriesId;
  }
  const { data } = card.chart.getOption().series.find((each) => each.id === "others");
  const far = data.map((point) => {
    const [x, y] = card.chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, point.value ?? point);
    return (x - event.offsetX) ** 2 + (y - event.offsetY) ** 2;
  });
  const near = far.reduce((best, each, i) => (each < (far[best] ?? Infinity) ? i : best), -1);
  return near < 0 ? null : pointOf(card.view, card.near ?? card.full, seriesId, near).each.run_id;
}

function listen(card) {
  card.chart.on("mouseover", { seriesType: "line" }, (event) => (page.hovered = event.seriesId));
  card.chart.on("mouseout", { seriesType: "line" }, () => (page.hovered = null));
  card.chart.on("click", { seriesType: "line" }, (event) => {
    const run = runAt(card, event);
    if (run && !page.pinned.delete(run)) {
      page.pinned.add(run);
    }
    drawAll();
  });
  card.chart.on("dblclick", { seriesType: "line" }, (event) => location.assign(`${document.body.dataset.prefix}/runs/${runAt(card, event)}`));
  card.chart.on("datazoom", (event) => {
    if (syncing) {
      return;
    }
    if (!card.element.matches(":hover")) {
      aim(card); // another chart told its shares of its own axis, which are none of this one's
      return;
    }
    const { start, end } = event.batch?.[0] ?? event;
    const [low, high] = card.extent;
    const x = (share) => low + ((high - low) * share) / 100;
    look(start <= 0 && end >= 100 ? null : [x(start), x(end)], card);
  });
}

/** Return the x that a chart looks at; null: all, also where it has none of them. */
function seenBy(card) {
  return zoom && card.extent && zoom[0] <= card.extent[1] && zoom[1] >= card.extent[0] ? zoom : null;
}

function aim(card) {
  const part = seenBy(card);
  syncing = true;
  card.chart.dispatchAction({ type: "dataZoom", escapeConnect: true, ...(part ? { startValue: part[0], endValue: part[1] } : { start: 0, end: 100 }) });
  syncing = false;
}

/** Look at a part of the x in all charts, each in its own scale, and ask for more points of it. */
function look(part, source = null) {
  zoom = part;
  for (const card of cards.values()) {
    if (card.chart && card.told && card !== source) {
      aim(card);
      caption(card, ...card.told);
    }
  }
  const steps = options().axis === "step" && zoom;
  form.elements.from.value = steps ? Math.round(zoom[0]) : "";
  form.elements.to.value = steps ? Math.round(zoom[1]) : "";
  remember();
  for (const card of cards.values()) {
    if (card.chart && card.full && (card.near || !card.full.every(isWhole))) {
      plan(card);
    }
  }
}

function dispose(card) {
  card.chart?.dispose();
  card.chart = null;
  delete card.element.dataset.drawn;
}

function remember() {
  const { axis, log, smooth } = options();
  const query = new URLSearchParams(location.search);
  const step = (name) => (axis === "step" ? form.elements[name].value : "");
  for (const [name, value, usual] of [["x", axis, "step"], ["log", log ? "1" : "", ""], ["smooth", String(smooth), "0"], ["from", step("from"), ""], ["to", step("to"), ""]]) {
    if (value === usual) {
      query.delete(name);
    } else {
      query.set(name, value);
    }
  }
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

/** Let a form keep what the address says now, which is more than when the page came. */
function keep(other) {
  other.querySelectorAll("input[type=hidden]").forEach((each) => each.remove());
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (name !== "find") {
      other.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
  }
}

/** Read the steps that are looked at from their fields; one that is empty is no bound. */
function chosenSteps() {
  const [from, to] = ["from", "to"].map((name) => form.elements[name].value);
  if (options().axis !== "step" || (from === "" && to === "")) {
    return null;
  }
  const extents = [...cards.values()].filter((card) => card.extent).map((card) => card.extent);
  const low = from === "" ? Math.min(...extents.map((each) => each[0]), 0) : Number(from);
  const high = to === "" ? Math.max(...extents.map((each) => each[1]), low + 1) : Number(to);
  return low < high ? [low, high] : null;
}

function drawAll() {
  for (const card of cards.values()) {
    draw(card);
  }
}

/** Fetch again what is shown: the run goes on. What is zoomed stays so. */
export async function refresh() {
  const shown = [...cards.values()].filter((card) => card.chart);
  await Promise.all(shown.map((card) => ask(card).then(() => draw(card), () => {}))); // the next look may find the server
}

function turned(event) {
  const name = event.target.name;
  if (name === "x") {
    zoom = null;
    form.elements.from.value = form.elements.to.value = "";
    cards.forEach((card) => (card.near = null));
  }
  if (name === "from" || name === "to") {
    look(chosenSteps());
  } else {
    remember();
    drawAll();
  }
}

function clicked(event) {
  const card = cards.get(event.target.closest("[data-chart]"));
  if (!card?.full) {
    return;
  }
  if (event.target.closest("[data-png]")) {
    save(card.chart.getDataURL({ pixelRatio: 2, backgroundColor: token("--bg") }), `${card.key}.png`);
  } else if (event.target.closest("[data-csv]")) {
    const { smooth } = options();
    const shown = (card.near ?? card.full).map((each) => (smooth > 0 ? { ...each, line: lineOf(each, smooth) } : each));
    save(URL.createObjectURL(new Blob([csv(card.key, shown, page.runs)], { type: "text/csv" })), `${card.key}.csv`);
  } else if (event.target.closest("[data-whole]")) {
    event.target.closest("[data-whole]").setAttribute("aria-pressed", String(card.element.classList.toggle("whole")));
    plan(card);
  }
}

/** Show the charts whose metric has a text, or is found by a regular expression; what is half written is a text. */
function find(text) {
  let wanted = { test: (key) => key.toLowerCase().includes(text.toLowerCase()) };
  try {
    wanted = new RegExp(text, "i");
  } catch {
    // it is not one yet
  }
  for (const card of cards.values()) {
    card.element.hidden = !wanted.test(card.key);
  }
}

function observe() {
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const card = cards.get(entry.target);
        if (entry.isIntersecting) {
          show(card);
        } else if (cards.size > LIVE_CANVASES) {
          dispose(card);
        }
      }
    },
    { rootMargin: "300px" },
  );
  const sizes = new ResizeObserver((entries) => {
    requestAnimationFrame(() => {
      for (const entry of entries) {
        const { chart } = cards.get(entry.target.closest("[data-chart]"));
        if (entry.contentRect.width && (chart?.getWidth() !== entry.contentRect.width || chart.getHeight() !== entry.contentRect.height)) {
          chart?.resize({ width: "auto", height: "auto" });
        }
      }
    });
  });
  for (const card of cards.values()) {
    near.observe(card.element);
    sizes.observe(card.canvas);
  }
}

function begin() {
  const { seen: keys, smooth, ...rest } = JSON.parse(told.textContent);
  Object.assign(page, rest);
  begun(document.getElementById("first-points").href, keys, { points: page.points, smooth });
  for (const element of document.querySelectorAll("[data-chart]")) {
    cards.set(element, { element, canvas: element.querySelector(".canvas"), key: element.dataset.chart, chart: null, full: null, near: null });
  }
  zoom = chosenSteps();
  // What is seen at once comes first and together; what is near follows when that is drawn.
  const seen = [...cards.values()].filter(({ element }) => element.clientHeight && element.getBoundingClientRect().top < innerHeight);
  Promise.all(seen.map(show)).then(() => setTimeout(observe, 100));
  form.addEventListener("input", turned);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("chart-draw")?.addEventListener("submit", (event) => keep(event.target));
  document.addEventListener("click", clicked);
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-find-chart]")) {
      find(event.target.value);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "r" && !event.target.matches("input, textarea, select") && !event.ctrlKey && !event.metaKey) {
      look(null);
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
}

if (told) {
  begin();
}
