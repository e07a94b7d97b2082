// MLflow's clients and people's bookmarks hold addresses such as /#/experiments/1/runs/abc: where they lead here.
const PART = "([^/?]+)";
const TABS = { artifacts: "/artifacts", "model-metrics": "/charts", "system-metrics": "/system" };
const FORMS = [
  [`^#/experiments/${PART}/runs/${PART}(?:/([\\w-]+))?`, (found) => `/runs/${found[2]}${TABS[found[3]] ?? ""}`],
  [`^#/experiments/${PART}/models/${PART}`, (found) => `/lineage?kind=model&id=${found[2]}`],
  [`^#/experiments/${PART}`, (found, asked) => `/experiments/${found[1]}${filter(asked)}`],
  ["^#/experiments", () => "/experiments"],
  ["^#/compare-runs", (_, asked) => compared(asked)],
  [`^#/models/${PART}/versions/${PART}`, (found) => `/models/${found[1]}/versions/${found[2]}`],
  [`^#/models/${PART}`, (found) => `/models/${found[1]}`],
  ["^#/models", () => "/models"],
];

const filter = (asked) => (asked.get("searchFilter") ? `?${new URLSearchParams({ q: asked.get("searchFilter") })}` : "");

function compared(asked) {
  try {
    return `/compare?${new URLSearchParams({ runs: JSON.parse(asked.get("runs")).join(",") })}`;
  } catch {
    return null;
  }
}

/** Return the path, below the server's prefix, that the part of an address after "#" stands for; null if for none. */
export function placeOf(hash) {
  const asked = new URLSearchParams(hash.split("?")[1] ?? "");
  for (const [form, place] of FORMS) {
    const found = hash.match(new RegExp(form));
    if (found) {
      return place(found, asked);
    }
  }
  return null;
}
