// Points of metrics, fetched from the API for many charts at once, made smooth and ready to draw. Nothing here draws.

/** Return a number as the API writes it: NaN and the infinities are texts there. */
export function number(value) {
  return typeof value === "string" ? Number(value === "NaN" ? NaN : value.replace("Infinity", "Infinity")) : value;
}

/**
 * Smooth numbers by a moving average that forgets: TensorBoard's, without its bias at the start.
 * What is no finite number is passed through and does not count; numbers that are all the same stay as they are.
 */
export function smoothed(values, weight) {
  if (!(weight > 0)) {
    return values;
  }
  const finite = values.filter(Number.isFinite);
  if (finite.every((value) => value === finite[0])) {
    return values;
  }
  let mean = 0;
  let count = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) {
      return value;
    }
    mean = weight * mean + (1 - weight) * value;
    count += 1;
    return mean / (1 - weight ** count);
  });
}

let waiting = null;

/** Return the series of a metric for some runs; calls of one moment share one request. */
export function fetchSeries(prefix, runs, key, points) {
  if (waiting === null) {
    const batch = { keys: new Set(), runs, points, answer: null };
    batch.answer = new Promise((resolve, reject) => {
      setTimeout(() => {
        waiting = null;
        ask(prefix, batch).then(resolve, reject);
      }, 10);
    });
    waiting = batch;
  }
  const batch = waiting;
  batch.keys.add(key);
  return batch.answer.then((found) => found.filter((each) => each.key === key));
}

async function ask(prefix, batch) {
  const keys = [...batch.keys];
  const size = Math.max(1, Math.min(100, Math.floor(900 / batch.runs.length)));
  const found = [];
  for (let place = 0; place < keys.length; place += size) {
    const part = keys.slice(place, place + size);
    const answer = await fetch(`${prefix}/api/v1/series`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ run_ids: batch.runs, keys: part, points: batch.points }),
    });
    const told = await answer.json();
    if (!answer.ok) {
      throw new Error(told.message);
    }
    for (const each of told.series) {
      found.push({ ...each, values: each.values.map(number) });
    }
  }
  return found;
}

/** Return the x of each point: its step, its time, or the seconds since the first one. */
export function xs(series, axis) {
  if (axis === "time") {
    return series.timestamps;
  }
  if (axis === "relative") {
    return series.timestamps.map((time) => (time - series.timestamps[0]) / 1000);
  }
  return series.steps;
}
