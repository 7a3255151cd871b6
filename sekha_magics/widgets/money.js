/**
 * Amounts as decimal numbers in strings: read, added, compared and shown, and never made floats where it would show.
 */

/** @typedef {import("./state.js").Usd} Usd */

/** @typedef {{negative: boolean, digits: bigint, scale: number}} Amount  digits / 10 ** scale */

/** @param {Usd} usd @returns {Amount | null} */
export function amount(usd) {
  const found = /^(-?)([0-9]+)(?:\.([0-9]+))?$/.exec(usd ?? "");
  if (!found) return null;
  const decimals = found[3] ?? "";
  const digits = BigInt(found[2] + decimals);
  return { negative: found[1] === "-" && digits > 0n, digits, scale: decimals.length };
}

/** The digits with `scale` decimals (fewer than none: tens, hundreds), half to even. @param {Amount} of */
function rounded({ digits, scale: from }, /** @type {number} */ scale) {
  if (scale >= from) return digits * 10n ** BigInt(scale - from);
  const unit = 10n ** BigInt(from - scale);
  const [whole, rest] = [digits / unit, digits % unit];
  return rest * 2n > unit || (rest * 2n === unit && whole % 2n === 1n) ? whole + 1n : whole;
}

/** @param {bigint} digits @param {number} scale */
function decimal(digits, scale) {
  if (scale <= 0) return `${digits * 10n ** BigInt(-scale)}`;
  const text = `${digits}`.padStart(scale + 1, "0");
  return `${text.slice(0, -scale)}.${text.slice(-scale)}`;
}

/** @param {Amount} of @param {number} decimals */
function scientific(of, decimals) {
  let exponent = `${of.digits}`.length - 1 - of.scale;
  let digits = `${rounded(of, decimals - exponent)}`;
  if (digits.length > decimals + 1) exponent += 1;
  digits = digits.slice(0, decimals + 1);
  return `${digits[0]}.${digits.slice(1)}E${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`;
}

/**
 * `$12.30`, `$0.0123`, `$0.0000375`, `$0`, `unpriced`: as `display/money.py` writes it.
 * @param {Usd} usd
 */
export function money(usd) {
  const of = amount(usd);
  if (!of) return "unpriced";
  const { digits, scale } = of;
  const magnitude = `${digits}`.length - 1 - scale;
  /** @type {string} */
  let text;
  if (!digits) text = "0";
  else if (magnitude >= 20) text = scientific(of, 3);
  else if (magnitude >= 0) text = decimal(rounded(of, 2), 2).replace(/\B(?=(\d{3})+\.)/g, ",");
  else if (magnitude >= -2) text = decimal(rounded(of, 4), 4).replace(/0{1,2}$/, "");
  else if (magnitude < -12) text = scientific(of, 2);
  else text = decimal(rounded(of, 2 - magnitude), 2 - magnitude).replace(/0+$/, "");
  return `${of.negative ? "-" : ""}$${text}`;
}

/** Exactly. @param {string[]} amounts */
export function sum(amounts) {
  const all = amounts.map(amount).filter((one) => one !== null);
  const scale = Math.max(0, ...all.map((one) => one.scale));
  const total = all.reduce((so, one) => so + (one.negative ? -1n : 1n) * rounded(one, scale), 0n);
  return `${total < 0n ? "-" : ""}${decimal(total < 0n ? -total : total, scale)}`;
}

/** `part` of `whole` for the length of a bar, from 0 to 1. @param {Usd} part @param {Usd} whole */
export function share(part, whole) {
  const [over, under] = [Number(part), Number(whole)];
  if (!(under > 0)) return 1;
  return Math.min(Math.max(over / under, 0), 1);
}

/** `45 %`; `<1 %` for little, and 100 % only where it is all. @param {number} of  from 0 to 1 */
export function percent(of) {
  const whole = Math.round(of * 100);
  if (of > 0 && whole === 0) return "<1 %";
  return `${whole === 100 && of < 1 ? 99 : whole} %`;
}
