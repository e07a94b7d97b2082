// Points of metrics, fetched from the API for many charts at once, made smooth and ready to draw. Nothing here draws.
const MOST_SERIES = 1000;
const MOST_POINTS = 1000000;
const MOST_KEYS = 100;

/** Return a number as the API writes it: NaN and the infinities are texts there. */
export const number = (value) => (typeof value === "string" ? Number(value) : value);

/** Tell whether all points of a history are there, so that nothing is lost by working on them here. */
export const isWhole = (each) => each.values.length === each.total;

/**
 * Smooth numbers by a moving average that forgets: TensorBoard's, without its bias at the start.
 * What is no finite number is passed through and does not count; numbers that are all the same stay as they are.
 */
export function smoothed(values, weight) {
  const finite = values.filter(Number.isFinite);
  if (!(weight > 0) || finite.every((value) => value === finite[0])) {
    return values;
  }
  let mean = 0;
  let rest = 1;
  return values.map((value) => {
    if (!Number.isFinite(value)) {
      return value;
    }
    mean = weight * mean + (1 - weight) * value;
    rest *= weight;
    return mean / (1 - rest);
  });
}

/** Return the smoothed line of a history, or null where only the server, which has all points, can make it. */
export function lineOf(each, weight) {
  if (!(weight > 0)) {
    return each.values;
  }
  return isWhole(each) ? smoothed(each.values, weight) : each.weight === weight ? each.smoothed : null;
}

const waiting = new Map(); // requests that are put together, and those that the page itself has begun

const nameOf = (how) => JSON.stringify([how.points, how.smooth || 0, how.from ?? null, how.to ?? null]);

/** Take the answer that the page asked for before any script was there: fetchSeries finds these keys in it, once. */
export function begun(place, keys, how) {
  const answer = fetch(place, { credentials: "same-origin" }).then(read).then((told) => sorted(told, how));
  answer.catch(() => {}); // told by who asks for it
  keys.forEach((key) => waiting.set(`${nameOf(how)} ${key}`, answer));
}

/**
 * Return the histories of a metric; calls of one moment that want the same share requests.
 * @param {string} key the metric
 * @param {{prefix: string, runs: string[], points: number, smooth?: number, from?: number, to?: number}} how
 */
export function fetchSeries(key, how) {
  const name = nameOf(how);
  const early = waiting.get(`${name} ${key}`);
  if (early) {
    waiting.delete(`${name} ${key}`);
    return early.then((found) => found.get(key) || []);
  }
  if (!waiting.has(name)) {
    const batch = { keys: new Set() };
    batch.answer = new Promise((resolve, reject) => {
      queueMicrotask(() => {
        waiting.delete(name);
        ask([...batch.keys], how).then(resolve, reject);
      });
    });
    waiting.set(name, batch);
  }
  const batch = waiting.get(name);
  batch.keys.add(key);
  return batch.answer.then((found) => found.get(key) || []);
}

async function ask(keys, how) {
  const most = Math.min(MOST_SERIES, Math.floor(MOST_POINTS / how.points));
  const size = Math.max(1, Math.min(MOST_KEYS, Math.floor(most / how.runs.length)));
  const found = new Map();
  for (let place = 0; place < keys.length; place += size) {
    const asked = { run_ids: how.runs, keys: keys.slice(place, place + size), points: how.points, smooth: how.smooth || 0 };
    const answer = await fetch(`${how.prefix}/api/v1/series`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...asked, start_step: how.from ?? null, end_step: how.to ?? null }),
    });
    sorted(await read(answer), how, found);
  }
  return found;
}

async function read(answer) {
  const told = await answer.json();
  if (!answer.ok) {
    throw new Error(told.message);
  }
  return told.series;
}

/** Return histories by their metric. */
function sorted(series, how, found = new Map()) {
  for (const each of series) {
    const one = { ...each, values: each.values.map(number), smoothed: each.smoothed?.map(number) ?? null, weight: how.smooth || 0 };
    found.set(each.key, found.get(each.key) || []);
    found.get(each.key).push(one);
  }
  return found;
}

/**
 * Return the x of each point: its step, its time, or the seconds since the run's first one.
 * @param {object} series a history
 * @param {string} axis "step", "time" or "relative"
 * @param {number} start the time of the run's first point
 */
export function xs(series, axis, start = series.timestamps[0]) {
  if (axis === "relative") {
    return series.timestamps.map((time) => (time - start) / 1000);
  }
  return axis === "time" ? series.timestamps : series.steps;
}

/** Return the least and the greatest x of all histories. */
export function extentOf(all, axis, starts) {
  let [low, high] = [Infinity, -Infinity];
  for (const each of all) {
    for (const x of xs(each, axis, starts.get(each.run_id))) {
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
  }
  return [low, high];
}

/** Return the first and the last step of what lies between two x, with a little on both sides. */
export function stepsWithin(all, axis, starts, [low, high]) {
  const more = (high - low) / 10;
  if (axis === "step") {
    return [Math.floor(low - more), Math.ceil(high + more)];
  }
  let [first, last] = [Infinity, -Infinity];
  for (const each of all) {
    const at = xs(each, axis, starts.get(each.run_id));
    at.forEach((x, i) => {
      if (x <= high + more && (at[i + 1] ?? x) >= low - more) {
        first = Math.min(first, each.steps[i]);
        last = Math.max(last, each.steps[i + 1] ?? each.steps[i]);
      }
    });
  }
  return [first, last];
}
