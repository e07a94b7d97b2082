// The values of a chart as text: a table beside it, a sentence, and CSV of what is drawn.
import { metric } from "./numbers.js";

/** Return what a history came to: its last value, its least and its greatest, each with its step. */
function summary(each) {
  let [low, high] = [-1, -1];
  each.values.forEach((value, i) => {
    if (Number.isFinite(value)) {
      low = low < 0 || value < each.values[low] ? i : low;
      high = high < 0 || value > each.values[high] ? i : high;
    }
  });
  const last = each.values.length - 1;
  return { each, last, low, high };
}

/** Return a sentence that says what a chart shows. */
export function sentence(key, all) {
  if (all.length !== 1) {
    return `${key} of ${all.length} runs`;
  }
  const { each, last, low, high } = summary(all[0]);
  const range = low < 0 ? "no finite value" : `between ${metric(each.values[low])} and ${metric(each.values[high])}`;
  return `${key}: ${metric(each.values[0])} at step ${each.steps[0]}, ${metric(each.values[last])} at step ${each.steps[last]}, ${range}`;
}

function cell(kind, text, title = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (title) {
    made.title = title;
  }
  return made;
}

/** Write the table of a chart's values into its fold: a row a run, the greatest last value on top. */
export function tabulate(card, runs) {
  const body = card.element.querySelector(".values tbody");
  const names = new Map(runs.map((run, place) => [run.id, { run, place }]));
  const rows = card.full.map(summary);
  const rank = ({ each, last }) => (Number.isFinite(each.values[last]) ? each.values[last] : -Infinity);
  rows.sort((a, b) => rank(b) - rank(a));
  body.replaceChildren(
    ...rows.map(({ each, last, low, high }) => {
      const { run, place } = names.get(each.run_id);
      const head = cell("th", "");
      head.scope = "row";
      const dot = cell("span", "");
      dot.className = `dot d${(run.slot ?? place % 8) + 1}`;
      head.append(dot, ` ${run.name}`);
      const row = document.createElement("tr");
      const at = (i) => (i < 0 ? cell("td", "") : cell("td", `${metric(each.values[i])} at ${each.steps[i]}`, String(each.values[i])));
      row.append(head, at(last), at(low), at(high));
      return row;
    }),
  );
}

const quoted = (text) => `"${text.replaceAll('"', '""').replace(/^[=+@\t\r-]/, "'$&")}"`;

/** Return the points that a chart draws as CSV; what a table program would take for a formula is made a text. */
export function csv(key, all, runs) {
  const names = new Map(runs.map((run) => [run.id, run.name]));
  const soft = all.some((each) => each.line !== undefined);
  const lines = [`run_id,run_name,key,step,timestamp,value${soft ? ",smoothed" : ""}`];
  for (const each of all) {
    each.values.forEach((value, i) => {
      lines.push([each.run_id, quoted(names.get(each.run_id)), quoted(key), each.steps[i], each.timestamps[i], value, ...(soft ? [each.line?.[i] ?? ""] : [])].join(","));
    });
  }
  return lines.join("\n") + "\n";
}

/** Let the browser keep something as a file. */
export function save(place, name) {
  const link = document.createElement("a");
  link.href = place;
  link.download = name.replaceAll(/[/\\]/g, "-");
  link.click();
}
