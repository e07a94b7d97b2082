// A number of runs, in groups by what they have in common: a box from the first to the third quarter, and every run.
import { axis, bounds, categories, chart, common, drawnOf, field, form, ownColour, say, shown, start, table, told } from "./space.js";
import { token } from "./tokens.js";
import { metric } from "./numbers.js";

const [MOST, PARTS] = [10, 5];

function quantile(sorted, share) {
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

/** Return the groups of runs: one for each value, or, of numbers that are many, stretches with as many runs each. */
function groups(by, rows) {
  if (!by.numeric) {
    return categories(by).map((name) => [name, rows.filter((i) => by.values[i] === name)]);
  }
  const values = [...new Set(rows.map((i) => by.values[i]))].sort((a, b) => a - b);
  if (values.length <= MOST) {
    return values.map((value) => [metric(value, 6), rows.filter((i) => by.values[i] === value)]);
  }
  const sorted = rows.map((i) => by.values[i]).sort((a, b) => a - b);
  const edges = [...new Set(Array.from({ length: PARTS + 1 }, (_, part) => quantile(sorted, part / PARTS)))];
  return edges.slice(1).map((high, part) => {
    const [low, last] = [edges[part], part === edges.length - 2];
    return [`${metric(low, 3)} – ${metric(high, 3)}`, rows.filter((i) => by.values[i] >= low && (last ? by.values[i] <= high : by.values[i] < high))];
  });
}

function draw() {
  const chosen = Object.fromEntries(new FormData(form));
  const [by, y] = [field(chosen.x), field(chosen.y)];
  if (!by || !y) {
    say("Nothing is drawn", ["There is nothing to draw: these runs differ in nothing, or have no numbers"]);
    return;
  }
  const rows = told.runs.map((_, i) => i).filter((i) => by.values[i] !== null && y.values[i] !== null);
  const found = groups(by, rows).filter(([, of]) => of.length);
  const stats = found.map(([, of]) => {
    const sorted = of.map((i) => y.values[i]).sort((a, b) => a - b);
    return [0, 0.25, 0.5, 0.75, 1].map((share) => quantile(sorted, share));
  });
  const names = found.map(([name]) => name);
  chart.setOption({
    ...common(),
    grid: { left: 80, right: 24, top: 16, bottom: 52 },
    xAxis: { ...axis({ name: by.name, numeric: false, values: [] }), data: names },
    yAxis: axis(y, { vertical: true, log: chosen.logy === "1" && bounds(y)[0] > 0 }),
    tooltip: { ...common().tooltip, formatter: (item) => (item.data.at === undefined ? `${item.name}\nmedian ${metric(stats[item.dataIndex][2])} of ${found[item.dataIndex][1].length} runs` : `${told.runs[item.data.at].name}\n${y.name}  ${shown(y.values[item.data.at], y)}\n${by.name}  ${shown(by.values[item.data.at], by)}`) },
    series: [
      { type: "boxplot", boxWidth: [16, 64], itemStyle: { color: token("--bg-hover"), borderColor: token("--text-muted") }, data: stats },
      { type: "scatter", symbolSize: 6, data: found.flatMap(([, of], place) => of.map((i) => ({ value: [place, y.values[i]], at: i, itemStyle: { color: ownColour(i), opacity: 0.8 } }))) },
    ],
  }, { notMerge: true });
  say(`${y.name} by ${by.name}, ${names.length} groups, told by the table below`, [
    drawnOf(rows, `${by.name} or no ${y.name}`),
    by.numeric && names.some((name) => name.includes(" – ")) ? `${by.name} in ${names.length} stretches with about as many runs each` : "",
    "boxes from the first to the third quarter, whiskers to the least and the greatest, a point for each run",
  ]);
  table(`${y.name} by ${by.name}`, [by.name, "runs", "least", "first quarter", "median", "third quarter", "greatest"], found.map(([name, of], i) => [name, String(of.length), ...stats[i].map((value) => metric(value))]));
}

chart.on("click", (event) => {
  if (event.data?.at !== undefined) {
    location.assign(`${document.body.dataset.prefix}/runs/${told.runs[event.data.at].id}`);
  }
});
start(draw, ["x", "y", "logy"]);
