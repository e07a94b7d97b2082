// Times go on: "4 min ago" and how long something runs, once a second, without asking the server.
const WEEK = 7 * 86400;

function relative(milliseconds, now) {
  const seconds = (now - milliseconds) / 1000;
  if (seconds < 0) {
    return "just now";
  }
  for (const [limit, divisor, unit] of [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [WEEK, 86400, "d"]]) {
    if (seconds < limit) {
      return seconds >= 1 ? `${Math.floor(seconds / divisor)} ${unit} ago` : "just now";
    }
  }
  return null;
}

function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const two = (value) => String(value).padStart(2, "0");
  if (seconds < 60) {
    return `${Math.max(0, seconds)} s`;
  }
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  }
  if (seconds < 86400) {
    return `${Math.floor(seconds / 3600)}h ${two(Math.floor((seconds % 3600) / 60))}m`;
  }
  return `${Math.floor(seconds / 86400)}d ${Math.floor((seconds % 86400) / 3600)}h`;
}

function tick() {
  if (document.visibilityState !== "visible") {
    return;
  }
  const now = Date.now();
  for (const each of document.querySelectorAll("time[data-since]")) {
    each.textContent = duration(now - Number(each.dataset.since));
  }
  for (const each of document.querySelectorAll("time[data-time]")) {
    const told = relative(Number(each.dataset.time), now);
    if (told !== null && told !== each.textContent) {
      each.textContent = told;
    }
    if (!each.title) {
      each.title = new Date(Number(each.dataset.time)).toLocaleString();
    }
  }
}

export function times() {
  tick();
  setInterval(tick, 1000);
}
