// How a chart of a metric looks: what is handed to ECharts for the points of its runs. Nothing is fetched here.
import { metric } from "./numbers.js";
import { lineOf, xs } from "./series.js";
import { token } from "./tokens.js";

const DASHES = ["solid", "dashed", "dotted"];
const NAMED = 24; // so many lines can be told apart
const MARKS = { NaN: ["M-4 -4L4 4M4 -4L-4 4", 0.03], Infinity: ["M-4 3L0 -4L4 3Z", 0.97], "-Infinity": ["M-4 -3L0 4L4 -3Z", 0.03] };

/** Return the strokes of runs: their own colour, dashed from the ninth on; grey where there are too many to tell. */
function strokes(runs, pinned) {
  const colours = Array.from({ length: 8 }, (_, slot) => token(`--s${slot + 1}`));
  const quiet = token("--quiet");
  return new Map(
    runs.map((run, place) => {
      const own = colours[run.slot ?? place % 8];
      const told = place < NAMED || pinned.has(run.id);
      const look = { color: told ? own : quiet, width: pinned.has(run.id) ? 3 : 1.5, opacity: told ? 1 : 0.35, type: DASHES[Math.floor(place / 8)] ?? "solid" };
      return [run.id, { look, own, run, place }];
    }),
  );
}

function base() {
  const line = { lineStyle: { color: token("--line") } };
  const muted = token("--text-muted");
  return { line, muted, grid: { left: 8, right: 16, top: 12, bottom: 8, containLabel: true }, text: { fontFamily: "system-ui, sans-serif", color: muted } };
}

function tick(value) {
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? metric(Number(value.toPrecision(6)), 6).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") : metric(value, 3);
}

function box() {
  return { renderMode: "html", appendTo: "body", className: "chart-tip", confine: false, backgroundColor: token("--bg"), borderColor: token("--line-control"), borderWidth: 1, padding: 8, transitionDuration: 0, textStyle: { color: token("--text"), fontSize: 12 } };
}

/** Return an element with lines of text; a line may have a run's colour before it, or be bold. */
function told(rows) {
  const made = document.createElement("div");
  for (const { text, slot, bold } of rows) {
    const row = document.createElement(bold ? "b" : "div");
    if (slot !== undefined) {
      const dot = document.createElement("span");
      dot.className = `dot ${slot === null ? "quiet" : `d${slot + 1}`}`;
      row.append(dot, " ");
    }
    row.append(text);
    made.append(row);
  }
  return made;
}

/**
 * Return what of a history is drawn: points for the line, marks of what is no finite number, and what was left out.
 * A point that stands alone between gaps would not be seen as a line: it is a dot.
 */
function points(each, values, x, log) {
  const drawn = [];
  const marks = [];
  let below = 0;
  values.forEach((value, i) => {
    if (!Number.isFinite(each.values[i])) {
      marks.push([x[i], String(each.values[i])]);
      drawn.push([x[i], null]);
    } else if (log && value <= 0) {
      below += 1;
      drawn.push([x[i], null]);
    } else {
      drawn.push([x[i], value]);
    }
  });
  const gap = (i) => drawn[i] === undefined || drawn[i][1] === null;
  const dots = drawn.map((point, i) => (point[1] !== null && gap(i - 1) && gap(i + 1) ? { value: point, symbol: "circle", symbolSize: 5 } : point));
  return { drawn: dots, marks, below };
}

/**
 * Return the option of a chart of lines, and what is told below it.
 * @param {object[]} all the histories
 * @param {object} page the runs, the pinned ones, the first time of each run, the hovered run
 * @param {object} options the axis, whether it is logarithmic, the weight of smoothing
 * @param {number[]} extent the least and the greatest x
 * @param {number[]|null} zoom the x that are looked at
 */
export function lines(all, page, options, extent, zoom) {
  const look = base();
  const looks = strokes(page.runs, page.pinned);
  const few = all.reduce((sum, each) => sum + each.values.length, 0) <= 300;
  const count = { shown: 0, total: 0, strange: 0, below: 0 };
  const series = [];
  const marks = [];
  const others = []; // of runs that are too many to be told: one line, with gaps between them
  page.others = [];
  for (const each of all) {
    const { look: stroke, own, run, place } = looks.get(each.run_id);
    const x = xs(each, options.axis, page.starts.get(each.run_id));
    const soft = lineOf(each, options.smooth);
    const raw = points(each, each.values, x, options.log);
    count.shown += each.values.length;
    count.total += each.total;
    count.strange += raw.marks.length;
    count.below += raw.below;
    marks.push(...raw.marks.map(([at, value]) => ({ value: [at, MARKS[value][1], value, run.name], symbol: `path://${MARKS[value][0]}`, itemStyle: { color: value === "NaN" ? "transparent" : own, borderColor: own } })));
    const common = { type: "line", name: run.name, showAllSymbol: true, connectNulls: false, triggerLineEvent: page.runs.length > 1, z: page.pinned.has(run.id) ? 5 : 2 };
    const emphasis = { focus: "series", lineStyle: { color: own, opacity: 1, width: 2.5 } };
    const smooth = options.smooth > 0 && soft !== null;
    if (smooth && stroke.opacity === 1) {
      series.push({ ...common, id: `${run.id} raw`, data: raw.drawn, symbol: "none", lineStyle: { ...stroke, width: 1, opacity: 0.25 }, itemStyle: { color: own, opacity: 0.25 }, silent: true, z: 1 });
    }
    const drawn = smooth ? points(each, soft, x, options.log).drawn : raw.drawn;
    if (stroke.opacity < 1) {
      page.others.push({ each, first: others.length });
      others.push(...drawn, [x.at(-1), null]);
      continue;
    }
    const symbol = few && each.values.length <= 30 ? ["circle", "triangle", "rect", "diamond"][Math.floor(place / 8)] ?? "none" : "none";
    series.push({ ...common, id: run.id, data: drawn, symbol, symbolSize: 5, lineStyle: stroke, itemStyle: { color: own }, emphasis });
  }
  if (others.length) {
    const look = { color: token("--quiet"), width: 1, opacity: 0.35 };
    series.unshift({ type: "line", id: "others", name: "others", data: others, symbol: "none", showAllSymbol: true, connectNulls: false, triggerLineEvent: true, lineStyle: look, itemStyle: look, z: 1 });
  }
  if (marks.length) {
    series.push({ type: "scatter", id: "marks", yAxisIndex: 1, data: marks, symbolSize: 8, itemStyle: { borderWidth: 2 }, z: 6 });
  }
  const kind = options.axis === "time" ? "time" : "value";
  const option = {
    animation: false,
    textStyle: look.text,
    grid: look.grid,
    tooltip: { ...box(), trigger: "axis", axisPointer: { type: "line", lineStyle: { color: token("--line-control") } }, formatter: (items) => tip([items].flat(), all, page, options) },
    xAxis: { type: kind, min: extent[0], max: extent[1], axisLine: look.line, splitLine: { show: false }, axisLabel: { color: look.muted, hideOverlap: true, showMinLabel: !zoom, showMaxLabel: !zoom, ...(kind === "value" ? { formatter: tick } : {}) }, minInterval: options.axis === "step" ? 1 : undefined },
    yAxis: [
      { type: options.log ? "log" : "value", scale: true, axisLine: look.line, splitLine: look.line, axisLabel: { color: look.muted, formatter: tick } },
      { type: "value", min: 0, max: 1, show: false, axisLabel: { show: false } },
    ],
    dataZoom: [{ type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseMove: "shift", moveOnMouseWheel: false, filterMode: "none", minSpan: 0.01, ...(zoom ? { startValue: zoom[0], endValue: zoom[1] } : { start: 0, end: 100 }) }],
    aria: { enabled: true, label: { description: page.sentence } },
    series,
  };
  return { option, count };
}

/** Return the history that a point of a series is of, and the point's place in it. */
export function pointOf(page, all, seriesId, index) {
  if (seriesId === "others") {
    const { each, first } = page.others.findLast((other) => other.first <= index);
    return { each, i: index - first };
  }
  return { each: all.find((each) => each.run_id === seriesId), i: index };
}

function tip(items, all, page, options) {
  if (!page.under()) {
    return ""; // the pointer is in another chart: only the cross hair is shared
  }
  const names = new Map(page.runs.map((run) => [run.id, run.name]));
  const slots = new Map(page.runs.map((run, place) => [run.id, run.slot ?? place % 8]));
  const marks = items.filter((item) => item.seriesId === "marks").map((item) => ({ text: `${item.value[2].replace("Infinity", "∞").replace("-", "−")}  ${item.value[3]}` }));
  const rows = items
    .filter((item) => names.has(item.seriesId) || item.seriesId === "others")
    .map((item) => ({ item, y: (item.data.value ?? item.data)[1], ...pointOf(page, all, item.seriesId, item.dataIndex) }))
    .filter((row) => row.y !== null);
  const isHovered = (row) => row.item.seriesId === page.hovered;
  rows.sort((a, b) => isHovered(b) - isHovered(a) || b.y - a.y);
  const strange = items.find((item) => item.seriesId === "marks");
  if (!rows.length && !strange) {
    return "";
  }
  const { each, i } = rows[0] ?? {};
  const x = each ? rows[0].item.value[0] : strange.value[0];
  const when = each ? `step ${each.steps[i]} · ${new Date(each.timestamps[i]).toLocaleString()}` : "";
  const head = { relative: `${tick(x)} s · ${when}`, step: when || `step ${x}`, time: when || new Date(x).toLocaleString() }[options.axis];
  const shown = rows.slice(0, 10).map((row) => {
    const raw = row.each.values[row.i];
    const value = options.smooth > 0 && raw !== row.y ? `${metric(row.y)} (${metric(raw)})` : metric(row.y);
    const slot = row.item.seriesId === "others" ? null : slots.get(row.each.run_id);
    return { text: `${value}  ${names.get(row.each.run_id)}`, slot, bold: isHovered(row) };
  });
  const more = rows.length > 10 ? [{ text: `and ${rows.length - 10} more` }] : [];
  return told([{ text: head }, ...shown, ...more, ...marks.slice(0, 3)]);
}

/** Return the option of a chart of single values: a bar a run, the greatest on top. What is no finite number is told. */
export function bars(all, page) {
  const look = base();
  const looks = strokes(page.runs, page.pinned);
  const rows = all.map((each) => ({ ...looks.get(each.run_id), value: each.values.at(-1) }));
  rows.sort((a, b) => (Number.isFinite(a.value) ? a.value : -Infinity) - (Number.isFinite(b.value) ? b.value : -Infinity));
  const label = (row) => (Number.isFinite(row.value) ? metric(row.value) : `${metric(row.value)} (no bar)`);
  return {
    animation: false,
    textStyle: look.text,
    grid: { ...look.grid, right: 64 },
    tooltip: { ...box(), trigger: "item", formatter: (item) => told([{ text: item.name }, { text: label(rows[item.dataIndex]) }]) },
    xAxis: { type: "value", splitLine: look.line, axisLabel: { color: look.muted, formatter: tick, hideOverlap: true } },
    yAxis: { type: "category", data: rows.map((row) => row.run.name), axisLine: look.line, axisLabel: { color: look.muted, width: 120, overflow: "truncate" } },
    aria: { enabled: true, label: { description: page.sentence } },
    series: [{
      type: "bar", id: "values", barMaxWidth: 24,
      label: { show: rows.length <= 24, position: "right", color: token("--text"), formatter: (item) => label(rows[item.dataIndex]) },
      data: rows.map((row) => ({ value: Number.isFinite(row.value) ? row.value : 0, itemStyle: { color: row.own } })),
    }],
  };
}
