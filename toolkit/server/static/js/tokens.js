// Colours of the style sheet, for what draws without it: charts are drawn on a canvas.

/** Return what a variable of the style sheet stands for now, in the light or in the dark. */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
