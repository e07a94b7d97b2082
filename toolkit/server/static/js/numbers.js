// Numbers as people read them: the same forms as toolkit/server/pages/numbers.py.
export function metric(value, digits = 4) {
  if (Number.isNaN(value)) {
    return "NaN";
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? "∞" : "−∞";
  }
  if (value === 0) {
    return "0";
  }
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) {
    return grouped(String(value));
  }
  if (size >= 1e-3 && size < 1e6) {
    const whole = Math.floor(Math.log10(size)) + 1;
    return grouped(value.toFixed(Math.max(0, digits - whole)));
  }
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  return `${mantissa.replace(/\.?0+$/, "").replace("-", "−")}e${Number(exponent)}`;
}

function grouped(text) {
  const sign = text.startsWith("-") ? "−" : "";
  let [whole, rest] = text.replace("-", "").split(".");
  if (whole.length >= 5) {
    whole = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  }
  return sign + whole + (rest === undefined ? "" : `.${rest}`);
}
