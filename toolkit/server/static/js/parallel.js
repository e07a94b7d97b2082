// Parallel coordinates: an axis for each field, a line for each run; stretches of axes choose runs. By mouse or by keys.
import { axis, bounds, categories, chart, colouring, common, element, field, form, legend, place, remember, say, shown, start, table, told } from "./space.js";
import { token } from "./tokens.js";
import { metric } from "./numbers.js";

const panel = document.getElementById("axes");
const [WIDTH, NEAR] = [110, 40];
let axes = told.axes.filter(field);
let logs = told.logs.filter(field);
const ranges = new Map();

for (const text of told.ranges) {
  const [id, low, high] = text.split(":~");
  const of = field(id);
  if (of && axes.includes(id)) {
    setRange(of, low, high);
  }
}

/** Keep a stretch of an axis; of texts it goes from one to another in their order. What says nothing is none. */
function setRange(of, low, high) {
  if (of.numeric) {
    const [least, greatest] = bounds(of);
    const from = low === "" || low === undefined || !Number.isFinite(Number(low)) ? least : Number(low);
    const to = high === "" || high === undefined || !Number.isFinite(Number(high)) ? greatest : Number(high);
    if (from <= least && to >= greatest) {
      ranges.delete(of.id);
    } else {
      ranges.set(of.id, [Math.min(from, to), Math.max(from, to)]);
    }
    return;
  }
  const names = categories(of);
  const [from, to] = [Math.max(0, names.indexOf(low)), names.includes(high) ? names.indexOf(high) : names.length - 1];
  if (from <= 0 && to >= names.length - 1) {
    ranges.delete(of.id);
  } else {
    ranges.set(of.id, [names[Math.min(from, to)], names[Math.max(from, to)]]);
  }
}

function isInside(i) {
  return [...ranges].every(([id, [low, high]]) => {
    const value = field(id).values[i];
    return value !== null && value >= low && value <= high;
  });
}

/** Return a stretch as the chart counts it: texts by their places. */
function interval(id) {
  const of = field(id);
  const [low, high] = ranges.get(id);
  if (of.numeric) {
    return [low, high];
  }
  const names = categories(of);
  return [names.indexOf(low) - 0.3, names.indexOf(high) + 0.3]; // so that one text alone is seen
}

function keep() {
  const same = (a, b) => a.join("\n") === b.join("\n");
  remember([
    ["axis", same(told.usual, axes) ? [] : axes],
    ["logaxis", same(told.usual_logs, logs) ? [] : logs.length ? logs : "none"],
    ["range", [...ranges].map(([id, [low, high]]) => [id, low, high].join(":~"))],
  ]);
}

const canLog = (of) => of.numeric && bounds(of)[0] > 0;

/** Return an axis whose texts can be read above the lines. */
function labelled(made) {
  return { ...made, axisLabel: { ...made.axisLabel, backgroundColor: token("--bg"), padding: [1, 2], borderRadius: 2 } };
}

function draw() {
  const fields = axes.map(field);
  const painted = colouring(form.elements.colour.value);
  const all = told.runs.map((_, i) => i);
  const rows = all.filter((i) => fields.some((of) => of.values[i] !== null));
  const gaps = rows.filter((i) => fields.some((of) => of.values[i] === null)).length;
  const inside = rows.filter(isInside);
  if (fields.length < 2) {
    chart.clear();
    say("Nothing is drawn", ["Two axes are wanted at least: add some below"]);
    rest(fields, inside);
    return;
  }
  chart.setOption({
    ...common(),
    tooltip: { ...common().tooltip, formatter: (item) => [item.name, ...axes.map(field).map((of) => `${of.name}  ${shown(of.values[item.data.at], of) || "not there"}`)].join("\n") },
    parallel: { left: 64, right: 88, top: 44, bottom: 28 },
    parallelAxis: fields.map((of, i) => ({
      ...labelled(axis(of, { log: logs.includes(of.id) })),
      areaSelectStyle: { width: 20, opacity: 0.3, color: token("--link"), borderColor: token("--link"), borderWidth: 1 },
      z: 10,
      dim: i,
      id: of.id,
      nameLocation: "end",
      nameGap: 14,
      nameTruncate: { maxWidth: 140 },
      splitLine: { show: false },
    })),
    series: [{
      type: "parallel",
      smooth: false,
      inactiveOpacity: 0.06,
      activeOpacity: 1,
      data: rows.map((i) => ({
        name: told.runs[i].name,
        at: i,
        value: fields.map((of) => (of.values[i] === null || (logs.includes(of.id) && of.values[i] <= 0) ? "-" : of.values[i])),
        lineStyle: { color: painted.colours[i], width: told.runs[i].id === told.base ? 4 : 2, opacity: rows.length > 200 ? 0.15 : 0.75 },
      })),
    }],
  }, { notMerge: true });
  for (const id of ranges.keys()) {
    if (axes.includes(id)) {
      chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId: id, intervals: [interval(id)] });
    }
  }
  if (ranges.size) {
    chart.resize(); // stretches that are set by a script are drawn with the next picture only
  }
  legend(painted);
  tell(fields, rows, gaps, inside);
  rest(fields, inside);
}

/** Give stretches that a script has set the look of those that were dragged: ECharts paints them over the axis. */
function soften() {
  const colour = token("--link");
  for (const shape of chart.getZr().storage.getDisplayList(true)) {
    if (shape.name === "main" && shape.type === "rect" && shape.style.fill !== colour) {
      shape.setStyle({ opacity: 0.3, fill: colour, stroke: colour, lineWidth: 1 });
    }
  }
}

function tell(fields, rows, gaps, inside) {
  say(`Parallel coordinates of ${fields.map((of) => of.name).join(", ")}: ${inside.length} of ${told.runs.length} runs, told by the table below`, [
    rows.length < told.runs.length ? `${rows.length} of ${told.runs.length} runs are drawn: the others have a value on none of these axes` : `all ${told.runs.length} runs are drawn`,
    gaps ? `${gaps} lack a value: their lines leave that axis out` : "",
    ranges.size ? `${inside.length} inside the chosen ranges` : "drag along an axis, or write below, to choose a range",
  ]);
}

/** Write what stands below the chart: the axes, and the runs inside the ranges. */
function rest(fields, inside) {
  writeAxes(fields);
  table("Runs inside the ranges", ["Run", ...fields.map((of) => of.name)], inside.map((i) => [i, ...fields.map((of) => shown(of.values[i], of))]));
  const narrow = document.getElementById("narrow");
  const few = ranges.size && inside.length > 1 && inside.length < told.runs.length;
  narrow.hidden = !few;
  if (few) {
    const query = new URLSearchParams(location.search);
    query.set("runs", inside.map((i) => told.runs[i].id).join(","));
    query.delete("range");
    narrow.href = `?${query}`;
    narrow.textContent = `Compare these ${inside.length} alone`;
  }
  document.getElementById("clear-ranges").hidden = !ranges.size;
  place.parentElement.classList.toggle("wide-space", fields.length * WIDTH > place.parentElement.clientWidth + NEAR);
}

function writeAxes(fields) {
  const focused = document.activeElement?.closest("#axes") ? [document.activeElement.closest("tr")?.dataset.axis, document.activeElement.dataset.does] : null;
  panel.replaceChildren(...fields.map((of, i) => {
    const row = element("tr", element("th", of.name, { scope: "row" }), { "data-axis": of.id });
    row.append(element("td", moves(of, i, fields.length)), element("td", range(of)), element("td", scale(of)), element("td", button("remove", `Leave the axis ${of.name} out`, "×", axes.length < 3)));
    return row;
  }));
  const add = document.getElementById("add-axis");
  const left = told.fields.filter((of) => !axes.includes(of.id));
  add.replaceChildren(element("option", "Add an axis…", { value: "" }), ...left.map((of) => element("option", `${of.name}${of.kind === "m" ? " (metric)" : ""}`, { value: of.id })));
  add.disabled = !left.length;
  if (focused?.[0]) {
    const row = [...panel.rows].find((each) => each.dataset.axis === focused[0]);
    const same = row?.querySelector(`[data-does="${focused[1]}"]`);
    (same?.disabled ? row.querySelector("button:not([disabled])") : same)?.focus();
  }
}

function button(does, label, text, disabled) {
  return element("button", text, { type: "button", class: "plain", "data-does": does, "aria-label": label, title: label, ...(disabled ? { disabled: "" } : {}) });
}

function moves(of, i, count) {
  const both = element("span", button("earlier", `Move ${of.name} to the left`, "←", i === 0));
  both.append(button("later", `Move ${of.name} to the right`, "→", i === count - 1));
  return both;
}

function range(of) {
  const box = element("span", "", { class: "range" });
  const set = ranges.get(of.id);
  if (of.numeric) {
    const [low, high] = bounds(of);
    for (const [does, edge, value] of [["from", low, set?.[0]], ["to", high, set?.[1]]]) {
      box.append(element("input", "", { type: "number", step: "any", "data-does": does, "aria-label": `${of.name}, ${does}`, placeholder: metric(edge), ...(value === undefined || value === edge ? {} : { value: String(Number(value.toPrecision(6))) }) }));
    }
    return box;
  }
  const names = categories(of);
  for (const [does, usual] of [["from", set?.[0] ?? names[0]], ["to", set?.[1] ?? names.at(-1)]]) {
    const list = element("select", "", { "data-does": does, "aria-label": `${of.name}, ${does}` });
    list.append(...names.map((name) => element("option", name, { value: name, ...(name === usual ? { selected: "" } : {}) })));
    box.append(list);
  }
  return box;
}

function scale(of) {
  if (!canLog(of)) {
    return "";
  }
  const label = element("label", element("input", "", { type: "checkbox", "data-does": "log", ...(logs.includes(of.id) ? { checked: "" } : {}) }), { class: "check" });
  label.append("log");
  return label;
}

function changed() {
  keep();
  draw();
}

panel.addEventListener("click", (event) => {
  const does = event.target.closest("button")?.dataset.does;
  const at = axes.indexOf(event.target.closest("tr")?.dataset.axis);
  if (!does || at < 0) {
    return;
  }
  if (does === "remove") {
    ranges.delete(axes[at]);
    axes = axes.filter((_, i) => i !== at);
  } else {
    const to = at + (does === "later" ? 1 : -1);
    axes = axes.map((id, i) => (i === at ? axes[to] : i === to ? axes[at] : id));
  }
  changed();
});
panel.addEventListener("change", (event) => {
  const row = event.target.closest("tr");
  const of = field(row.dataset.axis);
  if (event.target.dataset.does === "log") {
    logs = event.target.checked ? [...logs, of.id] : logs.filter((id) => id !== of.id);
  } else {
    setRange(of, row.querySelector("[data-does=from]").value, row.querySelector("[data-does=to]").value);
  }
  changed();
});
document.getElementById("add-axis").addEventListener("change", (event) => {
  axes = [...axes, event.target.value].filter(Boolean);
  changed();
});
document.getElementById("clear-ranges").addEventListener("click", () => {
  ranges.clear();
  changed();
});

let settled = 0;

chart.on("axisareaselected", (event) => {
  const of = field(event.parallelAxisId);
  if (!of) {
    return;
  }
  const [stretch] = event.intervals ?? [];
  if (stretch) {
    const names = categories(of);
    const [low, high] = of.numeric ? stretch.map((value) => Number(value.toPrecision(4))) : [names[Math.max(0, Math.ceil(stretch[0]))], names[Math.min(names.length - 1, Math.floor(stretch[1]))]];
    if (low === undefined || high === undefined || low > high) {
      return; // a stretch between two texts
    }
    setRange(of, low, high);
  } else {
    ranges.delete(of.id);
  }
  clearTimeout(settled);
  settled = setTimeout(() => {
    keep();
    const fields = axes.map(field);
    const rows = told.runs.map((_, i) => i).filter((i) => fields.some((each) => each.values[i] !== null));
    const inside = rows.filter(isInside);
    tell(fields, rows, rows.filter((i) => fields.some((each) => each.values[i] === null)).length, inside);
    rest(fields, inside);
  }, 150);
});
chart.on("finished", soften);
chart.on("click", (event) => {
  if (event.data?.at !== undefined) {
    location.assign(`${document.body.dataset.prefix}/runs/${told.runs[event.data.at].id}`);
  }
});
start(draw, ["colour"]);
