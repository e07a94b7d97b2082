// Runs as points: where they lie, their colour and their size by any field.
import { axis, bounds, chart, colouring, common, drawnOf, field, form, legend, say, shown, start, table, told } from "./space.js";

const [SMALL, BIG, USUAL] = [6, 28, 10];

function sizes(of) {
  if (!of?.numeric) {
    return () => USUAL;
  }
  const [low, high] = bounds(of);
  return (i) => (of.values[i] === null ? SMALL : high > low ? Math.sqrt(SMALL ** 2 + (BIG ** 2 - SMALL ** 2) * ((of.values[i] - low) / (high - low))) : USUAL);
}

function draw() {
  const chosen = Object.fromEntries(new FormData(form));
  const [x, y, by, size] = [field(chosen.x), field(chosen.y), field(chosen.colour), field(chosen.size)];
  if (!x || !y) {
    say("Nothing is drawn", ["There is nothing to draw: these runs have no numbers"]);
    return;
  }
  const [logX, logY] = [x.numeric && chosen.logx === "1", y.numeric && chosen.logy === "1"];
  const both = told.runs.map((_, i) => i).filter((i) => x.values[i] !== null && y.values[i] !== null);
  const rows = both.filter((i) => (!logX || x.values[i] > 0) && (!logY || y.values[i] > 0));
  const painted = colouring(chosen.colour);
  const sized = sizes(size);
  const extra = [by, size].filter((each) => each && each !== x && each !== y);
  chart.setOption({
    ...common(),
    grid: { left: 80, right: 24, top: 16, bottom: 52 },
    xAxis: axis(x, { log: logX }),
    yAxis: axis(y, { log: logY, vertical: true }),
    tooltip: { ...common().tooltip, formatter: (item) => [told.runs[item.data.at].name, ...[x, y, ...extra].map((each) => `${each.name}  ${shown(each.values[item.data.at], each)}`)].join("\n") },
    series: [{
      type: "scatter",
      data: rows.map((i) => ({ value: [x.values[i], y.values[i]], at: i, symbolSize: sized(i), itemStyle: { color: painted.colours[i], opacity: 0.85 } })),
    }],
  }, { notMerge: true });
  legend(painted);
  const below = both.length - rows.length;
  say(`${y.name} over ${x.name}: ${rows.length} of ${told.runs.length} runs, told by the table below`, [
    drawnOf(both, `${x.name} or no ${y.name}`),
    below ? `${below} not above 0, so not on a log axis` : "",
    size?.numeric ? `size: ${size.name} from ${bounds(size).map((each) => shown(each, size)).join(" to ")}` : "",
  ]);
  table(`${y.name} over ${x.name}`, ["Run", ...[x, y, ...extra].map((each) => each.name)], rows.map((i) => [i, ...[x, y, ...extra].map((each) => shown(each.values[i], each))]));
}

chart.on("click", (event) => {
  if (event.data?.at !== undefined) {
    location.assign(`${document.body.dataset.prefix}/runs/${told.runs[event.data.at].id}`);
  }
});
start(draw, ["x", "y", "colour", "size", "logx", "logy"]);
