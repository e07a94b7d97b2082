// MLflow's clients print addresses such as /#/experiments/1/runs/abc: where they lead here.
const PART = "([^/?]+)";
const FORMS = [
  [`^#/experiments/${PART}/runs/${PART}`, (found) => `/runs/${found[2]}`],
  [`^#/experiments/${PART}/models/${PART}`, (found) => `/api/2.0/mlflow/logged-models/${found[2]}`],
  [`^#/experiments/${PART}`, (found) => `/experiments/${found[1]}`],
  [`^#/models/${PART}/versions/${PART}`, (found) => `/models/${found[1]}/versions/${found[2]}`],
  [`^#/models/${PART}`, (found) => `/models/${found[1]}`],
];

/** Return the path, below the server's prefix, that the part of an address after "#" stands for; null if for none. */
export function placeOf(hash) {
  for (const [form, place] of FORMS) {
    const found = hash.match(new RegExp(form));
    if (found) {
      return place(found);
    }
  }
  return null;
}
