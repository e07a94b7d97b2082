// What charts of many runs share: the fields that runs have, colours by a field, the table beside a chart, the address.
import * as echarts from "../vendor/echarts-6.1.0/echarts.min.js";
import { metric } from "./numbers.js";
import { token } from "./tokens.js";

export const told = JSON.parse(document.getElementById("space-data").textContent);
export const place = document.getElementById("space");
export const form = document.getElementById("space-options");
export const chart = echarts.init(place, null, { renderer: "canvas" });

const SLOTS = 8;

/** Return a field by its id, as columns have it. */
export function field(id) {
  return told.fields.find((each) => each.id === id);
}

export function ownColour(i) {
  return token(`--s${told.runs[i].slot + 1}`);
}

export function shown(value, of) {
  return value === null || value === undefined ? "" : of.numeric ? metric(value) : value;
}

/** Return the values of a field that are texts, each once, in their order. */
export function categories(of) {
  return [...new Set(of.values.filter((value) => value !== null))].sort((a, b) => (a < b ? -1 : 1));
}

/** Return the least and the greatest number of a field. */
export function bounds(of) {
  const there = of.values.filter((value) => value !== null);
  return [Math.min(...there), Math.max(...there)];
}

function mixed(share) {
  const anchors = [1, 2, 3, 4, 5, 6, 7].map((number) => token(`--r${number}`));
  const at = Math.min(anchors.length - 1.000001, Math.max(0, share * (anchors.length - 1)));
  const low = Math.floor(at);
  const part = (text, from) => Number.parseInt(text.slice(from, from + 2), 16);
  const one = (from) => Math.round(part(anchors[low], from) + (part(anchors[low + 1], from) - part(anchors[low], from)) * (at - low));
  return `rgb(${one(1)}, ${one(3)}, ${one(5)})`;
}

/** Return the colour of each run by a field (none: each run's own), and a legend: pairs of colour and text. */
export function colouring(id) {
  const by = field(id);
  const grey = token("--line-control");
  if (!by) {
    return { colours: told.runs.map((_, i) => ownColour(i)), legend: [] };
  }
  const lacking = by.values.some((value) => value === null) ? [[grey, `no ${by.name}`]] : [];
  if (by.numeric) {
    const [low, high] = bounds(by);
    const share = (value) => (high > low ? (value - low) / (high - low) : 0.5);
    const marks = high > low ? [0, 0.25, 0.5, 0.75, 1] : [0.5];
    return {
      colours: by.values.map((value) => (value === null ? grey : mixed(share(value)))),
      legend: [...marks.map((at) => [mixed(at), metric(low + (high - low) * at)]), ...lacking],
      name: by.name,
    };
  }
  const names = categories(by);
  const slots = new Map(names.slice(0, SLOTS).map((name, i) => [name, token(`--s${i + 1}`)]));
  const rest = names.length > SLOTS ? [[grey, `${names.length - SLOTS} more values`]] : [];
  return {
    colours: by.values.map((value) => slots.get(value) ?? grey),
    legend: [...[...slots].map(([name, colour]) => [colour, name]), ...rest, ...lacking],
    name: by.name,
  };
}

const SVG = "http://www.w3.org/2000/svg";

function swatch(colour) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("width", "12");
  picture.setAttribute("height", "12");
  picture.setAttribute("aria-hidden", "true");
  const box = document.createElementNS(SVG, "rect");
  for (const [name, value] of [["width", "12"], ["height", "12"], ["rx", "2"], ["fill", colour]]) {
    box.setAttribute(name, value);
  }
  picture.append(box);
  return picture;
}

export function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.append(text);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  return made;
}

/** Show what the colours of a chart mean. */
export function legend({ legend: marks, name }) {
  const list = document.getElementById("space-legend");
  list.replaceChildren(...(marks.length ? [element("li", `Colour: ${name}`, { class: "muted" })] : []), ...marks.map(([colour, text]) => {
    const item = element("li", swatch(colour));
    item.append(` ${text}`);
    return item;
  }));
}

/** Say what is drawn, and what is not, below the chart and to who does not see it. */
export function say(label, parts) {
  place.setAttribute("aria-label", label);
  document.getElementById("space-said").textContent = parts.filter(Boolean).join(" · ");
  place.dataset.drawn = "1";
}

/** Return "n of m runs", and why the others are not there. */
export function drawnOf(rows, why) {
  return rows.length < told.runs.length ? `${rows.length} of ${told.runs.length} runs are drawn: the others have no ${why}` : `all ${told.runs.length} runs are drawn`;
}

/** Write the table beside the chart. Cells of a run's row begin with the run: its place. */
export function table(caption, heads, rows) {
  const box = document.getElementById("space-table");
  const made = element("table", element("caption", caption, { class: "unseen" }), { class: "table" });
  const head = element("tr", "");
  head.append(...heads.map((text, i) => element("th", text, { scope: "col", ...(i ? { class: "n" } : {}) })));
  made.append(element("thead", head));
  const body = document.createElement("tbody");
  for (const [first, ...cells] of rows) {
    const row = document.createElement("tr");
    row.append(element("th", typeof first === "number" ? runLink(first) : first, { scope: "row" }));
    row.append(...cells.map((text) => element("td", text, { class: "n" })));
    body.append(row);
  }
  made.append(body);
  box.replaceChildren(made);
}

function runLink(i) {
  return element("a", told.runs[i].name, { href: `${document.body.dataset.prefix}/runs/${told.runs[i].id}` });
}

/** Keep in the address what is chosen: pairs of a name and a value, or values; what is empty is left out. */
export function remember(pairs) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of pairs) {
    query.delete(name);
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each) {
        query.append(name, each);
      }
    }
  }
  history.replaceState(null, "", `?${query}`);
}

export function common() {
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif", color: token("--text-muted") },
    tooltip: { renderMode: "richText", confine: true, backgroundColor: token("--bg"), borderColor: token("--line-control"), textStyle: { color: token("--text"), fontSize: 12 } },
  };
}

function tick(value) {
  const text = metric(Number(value.toPrecision(6)), 4);
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}

/** Return an axis for a field: numbers, their logarithms, or texts. */
export function axis(of, { log = false, vertical = false } = {}) {
  const look = {
    name: of.name,
    nameLocation: "middle",
    nameGap: vertical ? 52 : 30,
    nameTextStyle: { color: token("--text") },
    axisLine: { lineStyle: { color: token("--line-control") } },
    splitLine: { lineStyle: { color: token("--line") } },
    axisLabel: { color: token("--text-muted"), hideOverlap: true, ...(vertical ? { width: 80, overflow: "truncate" } : {}) },
  };
  if (!of.numeric) {
    return { ...look, type: "category", data: categories(of), splitLine: { show: false } };
  }
  return { ...look, type: log ? "log" : "value", scale: true, axisLabel: { ...look.axisLabel, formatter: tick } };
}

/** Draw now, and whenever something that the picture depends on changes. */
export function start(draw, options) {
  const told_ = () => {
    remember(options.map((name) => {
      const control = form.elements[name];
      const value = control.type === "checkbox" ? (control.checked ? "1" : "") : control.value;
      return [name, value === (control.dataset.usual ?? "") ? "" : value || "none"];
    }));
    draw();
  };
  form.addEventListener("input", told_);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector("[data-save-picture]").addEventListener("click", () => {
    const link = element("a", "", { href: chart.getDataURL({ pixelRatio: 2, backgroundColor: token("--bg") }), download: `${place.dataset.kind}.png` });
    link.click();
  });
  new ResizeObserver(() => requestAnimationFrame(() => chart.resize())).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}
