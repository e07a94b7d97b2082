// Charts of metrics: one card a key, made when it comes near the window, of one or many runs.
import { metric } from "./numbers.js";
import { fetchSeries, smoothed, xs } from "./series.js";

const POINTS = 600;
const DASHES = ["solid", "dashed", "dotted"];
const cards = new Map();
let echarts = null;
let config = null;

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function colour(place) {
  return place < 24 ? token(`--s${(place % 8) + 1}`) : token("--quiet");
}

function state() {
  const form = document.getElementById("chart-options");
  const data = new FormData(form);
  return { axis: data.get("x") || "step", log: data.get("log") === "1", smooth: Number(data.get("smooth") || 0) };
}

function base() {
  const line = { lineStyle: { color: token("--line") } };
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif", color: token("--text-muted") },
    grid: { left: 8, right: 16, top: 12, bottom: 8, containLabel: true },
    axisLine: line,
    splitLine: line,
  };
}

function axisX(options) {
  const look = base();
  const kind = options.axis === "time" ? "time" : "value";
  return {
    type: kind,
    min: "dataMin",
    max: "dataMax",
    axisLine: look.axisLine,
    splitLine: { show: false },
    axisLabel: { color: token("--text-muted"), hideOverlap: true },
    minInterval: options.axis === "step" ? 1 : undefined,
  };
}

function drawn(card, options) {
  const shown = [];
  const marks = { nan: 0, below: 0, points: 0 };
  card.series.forEach((each) => {
    const place = config.runs.findIndex((run) => run.id === each.run_id);
    const run = config.runs[place];
    const x = xs(each, options.axis);
    const soft = smoothed(each.values, options.smooth);
    marks.points += x.length;
    const pick = (values, count) =>
      x.map((at, i) => {
        const value = values[i];
        if (!Number.isFinite(value)) {
          marks.nan += count ? 1 : 0;
          return [at, null];
        }
        if (options.log && value <= 0) {
          marks.below += count ? 1 : 0;
          return [at, null];
        }
        return [at, value];
      });
    const common = { type: "line", symbolSize: 5, connectNulls: false, emphasis: { focus: "series" } };
    const stroke = { color: colour(place), width: 1.5, type: DASHES[Math.floor(place / 8) % 3] };
    if (options.smooth > 0) {
      const faint = { ...stroke, width: 1, opacity: 0.25 };
      shown.push({ ...common, name: run.name, id: `${run.id}-raw`, data: pick(each.values, false), lineStyle: faint, silent: true, showSymbol: false, tooltip: { show: false } });
    }
    shown.push({ ...common, name: run.name, id: run.id, data: pick(soft, true), lineStyle: stroke, itemStyle: { color: colour(place) }, showSymbol: x.length <= 30 });
  });
  return { shown, marks };
}

function tick(value) {
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? metric(Number(value.toPrecision(6)), 6).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") : metric(value, 3);
}

function tooltip() {
  return {
    trigger: "axis",
    renderMode: "richText",
    backgroundColor: token("--bg"),
    borderColor: token("--line-control"),
    textStyle: { color: token("--text"), fontSize: 12 },
    formatter: (items) => {
      const rows = items.filter((item) => !String(item.seriesId).endsWith("-raw") && item.value[1] !== null);
      rows.sort((a, b) => b.value[1] - a.value[1]);
      const head = rows.length ? `${state().axis} ${rows[0].axisValueLabel ?? rows[0].value[0]}` : "";
      return [head, ...rows.slice(0, 10).map((item) => `${metric(item.value[1])}  ${item.seriesName}`)].join("\n");
    },
  };
}

function bars(card) {
  const rows = card.series.map((each) => ({
    run: config.runs.find((run) => run.id === each.run_id),
    value: each.values.at(-1),
  }));
  const look = base();
  return {
    ...look,
    tooltip: { ...tooltip(), trigger: "item", formatter: (item) => `${item.name}\n${metric(item.value)}` },
    xAxis: { type: "value", scale: false, splitLine: look.splitLine, axisLabel: { color: token("--text-muted") } },
    yAxis: { type: "category", data: rows.map((row) => row.run.name), axisLine: look.axisLine, axisLabel: { color: token("--text-muted"), width: 120, overflow: "truncate" } },
    series: [{ type: "bar", barMaxWidth: 24, data: rows.map((row) => ({ value: Number.isFinite(row.value) ? row.value : null, itemStyle: { color: colour(config.runs.indexOf(row.run)) } })) }],
  };
}

function caption(card, marks) {
  const said = [];
  if (card.series.some((each) => each.values.length >= POINTS)) {
    said.push(`${marks.points} points of more`);
  }
  if (marks.nan) {
    said.push(`${marks.nan} not finite`);
  }
  if (marks.below) {
    said.push(`${marks.below} values ≤ 0 not on a log axis`);
  }
  if (config.runs.length > 1 && card.series.length < config.runs.length) {
    said.push(`${card.series.length} of ${config.runs.length} runs have it`);
  }
  card.element.querySelector(".caption").textContent = said.join(" · ");
}

function draw(card) {
  if (!card.chart || !card.series || !card.canvas.clientWidth) {
    return;
  }
  const options = state();
  const single = card.series.every((each) => each.values.length <= 1);
  if (single) {
    card.chart.setOption(bars(card), { notMerge: true });
    caption(card, { points: card.series.length, nan: 0, below: 0 });
    return;
  }
  const { shown, marks } = drawn(card, options);
  const look = base();
  card.chart.setOption(
    {
      ...look,
      tooltip: tooltip(),
      xAxis: axisX(options),
      yAxis: { type: options.log ? "log" : "value", scale: true, axisLine: look.axisLine, splitLine: look.splitLine, axisLabel: { color: token("--text-muted"), formatter: tick } },
      dataZoom: [{ type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false, filterMode: "none" }],
      aria: { enabled: true, label: { description: `${card.key}: ${shown.length} lines` } },
      series: shown,
    },
    { notMerge: true },
  );
  caption(card, marks);
}

async function show(card) {
  if (card.chart) {
    return;
  }
  // The points come while the library is still read.
  const points = fetchSeries(document.body.dataset.prefix, config.runs.map((run) => run.id), card.key, POINTS);
  points.catch(() => {}); // told below
  echarts ??= await import("../vendor/echarts-6.1.0/echarts.min.js");
  if (card.chart) {
    return;
  }
  card.chart = echarts.init(card.canvas, null, { renderer: "canvas" });
  card.chart.group = "metrics";
  echarts.connect("metrics");
  try {
    card.series = await points;
  } catch (error) {
    card.element.querySelector(".caption").textContent = String(error.message || error);
    return;
  }
  if (!card.series.length) {
    card.element.querySelector(".caption").textContent = "No points.";
    return;
  }
  draw(card);
  card.element.dataset.drawn = "1";
}

function dispose(card) {
  card.chart?.dispose();
  card.chart = null;
  delete card.element.dataset.drawn;
}

function saveCsv(card) {
  const lines = ["run_id,run_name,key,step,timestamp,value"];
  for (const each of card.series) {
    const run = config.runs.find((one) => one.id === each.run_id);
    const name = `"${run.name.replaceAll('"', '""').replace(/^[=+@-]/, "'$&")}"`;
    each.values.forEach((value, i) => lines.push([run.id, name, `"${card.key.replaceAll('"', '""')}"`, each.steps[i], each.timestamps[i], value].join(",")));
  }
  save(URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" })), `${card.key.replaceAll("/", "-")}.csv`);
}

function save(place, name) {
  const link = document.createElement("a");
  link.href = place;
  link.download = name;
  link.click();
}

function remember() {
  const options = state();
  const query = new URLSearchParams(location.search);
  for (const [name, value, usual] of [["x", options.axis, "step"], ["log", options.log ? "1" : "", ""], ["smooth", String(options.smooth), "0"]]) {
    if (value === usual) {
      query.delete(name);
    } else {
      query.set(name, value);
    }
  }
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

export function drawAll() {
  for (const card of cards.values()) {
    draw(card);
  }
}

/** Fetch again what is shown: the run goes on. */
export async function refresh() {
  for (const card of cards.values()) {
    if (card.chart) {
      card.series = await fetchSeries(document.body.dataset.prefix, config.runs.map((run) => run.id), card.key, POINTS);
      draw(card);
    }
  }
}

function begin() {
  const told = document.getElementById("chart-data");
  if (!told) {
    return;
  }
  config = JSON.parse(told.textContent);
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const card = cards.get(entry.target);
        if (entry.isIntersecting) {
          show(card);
        } else if (cards.size > 30) {
          dispose(card);
        }
      }
    },
    { rootMargin: "300px" },
  );
  const sizes = new ResizeObserver((entries) => {
    requestAnimationFrame(() => {
      for (const entry of entries) {
        if (entry.contentRect.width) {
          cards.get(entry.target.closest("[data-chart]"))?.chart?.resize();
        }
      }
    });
  });
  for (const element of document.querySelectorAll("[data-chart]")) {
    const canvas = element.querySelector(".canvas");
    cards.set(element, { element, canvas, key: element.dataset.chart, chart: null, series: null });
    near.observe(element);
    sizes.observe(canvas);
  }
  const form = document.getElementById("chart-options");
  form.addEventListener("input", () => {
    remember();
    drawAll();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const card = cards.get(event.target.closest("[data-chart]"));
    if (card && event.target.closest("[data-png]")) {
      save(card.chart.getDataURL({ pixelRatio: 2, backgroundColor: token("--bg") }), `${card.key.replaceAll("/", "-")}.png`);
    } else if (card && event.target.closest("[data-csv]")) {
      saveCsv(card);
    } else if (card && event.target.closest("[data-whole]")) {
      card.element.classList.toggle("whole");
    }
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-find-chart]")) {
      const wanted = event.target.value.toLowerCase();
      for (const card of cards.values()) {
        card.element.hidden = !card.key.toLowerCase().includes(wanted);
      }
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "r" && !event.target.matches("input, textarea, select") && !event.ctrlKey && !event.metaKey) {
      for (const card of cards.values()) {
        card.chart?.dispatchAction({ type: "dataZoom", start: 0, end: 100 });
      }
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
}

begin();
