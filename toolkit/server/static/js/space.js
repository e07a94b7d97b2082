// Many runs in the space of their parameters and metrics: parallel coordinates, a scatter, or boxes.
import * as echarts from "../vendor/echarts-6.1.0/echarts.min.js";
import { metric } from "./numbers.js";

const told = JSON.parse(document.getElementById("space-data").textContent);
const place = document.getElementById("space");
const form = document.getElementById("space-options");
const said = document.getElementById("space-said");
const chart = echarts.init(place, null, { renderer: "canvas" });

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isNumber = (text) => text !== undefined && text.trim() !== "" && Number.isFinite(Number(text));
const RAMP = ["#00306f", "#33497a", "#575d6d", "#7c7b78", "#a59c74", "#cfbf61", "#fdea45"]; // from blue to yellow

function common() {
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif", color: token("--text-muted") },
    tooltip: { renderMode: "richText", backgroundColor: token("--bg"), borderColor: token("--line-control"), textStyle: { color: token("--text"), fontSize: 12 } },
    aria: { enabled: true },
  };
}

function valueAxis(name) {
  return { type: "value", name, nameLocation: "middle", nameGap: 32, scale: true, axisLabel: { color: token("--text-muted"), formatter: (value) => metric(value, 3) }, splitLine: { lineStyle: { color: token("--line") } } };
}

function parallel(y) {
  const dims = [...told.params.map((key) => ["params", key]), ...(y ? [["metrics", y]] : [])];
  const numeric = dims.map(([kind, key]) => kind === "metrics" || told.runs.every((run) => run.params[key] === undefined || isNumber(run.params[key])));
  const rows = told.runs.filter((run) => !y || run.metrics[y] !== undefined && run.metrics[y] !== null);
  const values = rows.map((run) => run.metrics[y]);
  said.textContent = rows.length < told.runs.length ? `${rows.length} of ${told.runs.length} runs have ${y}` : "";
  chart.setOption({
    ...common(),
    parallel: { left: 80, right: 120, top: 48, bottom: 32 },
    parallelAxis: dims.map(([, key], i) => ({
      dim: i, name: key, type: numeric[i] ? "value" : "category", scale: true,
      data: numeric[i] ? undefined : [...new Set(told.runs.map((run) => run.params[key] ?? "–"))],
      nameTextStyle: { color: token("--text") }, axisLabel: { color: token("--text-muted") }, axisLine: { lineStyle: { color: token("--line-control") } },
    })),
    visualMap: y && values.length ? { dimension: dims.length - 1, min: Math.min(...values), max: Math.max(...values), inRange: { color: RAMP }, right: 0, top: "middle", textStyle: { color: token("--text-muted") }, formatter: (value) => metric(value) } : undefined,
    series: [{
      type: "parallel", smooth: false, lineStyle: { width: 2, opacity: rows.length > 200 ? 0.15 : 0.7 },
      data: rows.map((run) => ({ name: run.name, value: dims.map(([kind, key], i) => (kind === "metrics" ? run.metrics[key] : numeric[i] ? Number(run.params[key]) : run.params[key] ?? "–")) })),
    }],
  }, { notMerge: true });
}

function scatter(x, y) {
  const [kind, key] = [x.slice(0, 1), x.slice(2)];
  const of = (run) => (kind === "m" ? run.metrics[key] : run.params[key]);
  const numeric = kind === "m" || told.runs.every((run) => of(run) === undefined || isNumber(of(run)));
  const rows = told.runs.filter((run) => of(run) !== undefined && run.metrics[y] !== undefined && run.metrics[y] !== null);
  said.textContent = rows.length < told.runs.length ? `${rows.length} of ${told.runs.length} runs have both` : "";
  chart.setOption({
    ...common(),
    grid: { left: 64, right: 24, top: 16, bottom: 48 },
    xAxis: numeric ? valueAxis(key) : { type: "category", name: key, nameLocation: "middle", nameGap: 32, data: [...new Set(rows.map(of))] },
    yAxis: valueAxis(y),
    tooltip: { ...common().tooltip, formatter: (item) => `${item.name}\n${key} ${item.value[0]}\n${y} ${metric(item.value[1])}` },
    series: [{ type: "scatter", symbolSize: 10, itemStyle: { color: token("--s1"), opacity: 0.8 }, data: rows.map((run) => ({ name: run.name, id: run.id, value: [numeric ? Number(of(run)) : of(run), run.metrics[y]] })) }],
  }, { notMerge: true });
}

function quantile(sorted, share) {
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

function boxes(x, y) {
  const key = x.slice(2);
  const groups = new Map();
  for (const run of told.runs) {
    const value = run.metrics[y];
    if (value !== undefined && value !== null) {
      const group = run.params[key] ?? "–";
      groups.set(group, [...(groups.get(group) ?? []), value]);
    }
  }
  const names = [...groups.keys()].sort((a, b) => (isNumber(a) && isNumber(b) ? Number(a) - Number(b) : a < b ? -1 : 1));
  const data = names.map((name) => {
    const sorted = groups.get(name).sort((a, b) => a - b);
    return [0, 0.25, 0.5, 0.75, 1].map((share) => quantile(sorted, share));
  });
  said.textContent = names.map((name) => `${name}: ${groups.get(name).length} runs`).join(" · ");
  chart.setOption({
    ...common(),
    grid: { left: 64, right: 24, top: 16, bottom: 48 },
    xAxis: { type: "category", name: key, nameLocation: "middle", nameGap: 32, data: names, axisLabel: { color: token("--text-muted") } },
    yAxis: valueAxis(y),
    series: [{ type: "boxplot", itemStyle: { color: token("--bg-hover"), borderColor: token("--s1") }, data }],
  }, { notMerge: true });
}

function draw() {
  const chosen = new FormData(form);
  const [x, y] = [chosen.get("x"), chosen.get("y")];
  if (place.dataset.kind === "parallel") {
    parallel(y);
  } else if (!x || !y) {
    said.textContent = "There is nothing to draw: these runs differ in no parameter, or have no metric.";
  } else if (place.dataset.kind === "scatter") {
    scatter(x, y);
  } else {
    boxes(x, y);
  }
  place.dataset.drawn = "1";
}

form.addEventListener("input", draw);
form.addEventListener("submit", (event) => event.preventDefault());
chart.on("click", (event) => {
  if (event.data?.id) {
    location.assign(`${document.body.dataset.prefix}/runs/${event.data.id}`);
  }
});
new ResizeObserver(() => requestAnimationFrame(() => chart.resize())).observe(place);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
