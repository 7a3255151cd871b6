/** Spend over time, by model: columns beside a legend, and the same as a table. */

import { amount, money, share, sum } from "./money.js";
import { clock, modelName } from "./words.js";
import { h } from "./elements.js";

/** @typedef {import("./state.js").Spend} Spend */
/** @typedef {import("./elements.js").Child} Child */
/** @typedef {import("./words.js").Say} Say */

const COLUMNS = 30;
const SERIES = 5;
const [WIDTH, HEIGHT] = [240, 64];

/** @typedef {{from: number, costs: string[][]}} Column  costs of each series */

/**
 * Columns of equal time, and the models that cost most: the others share the last series.
 * @param {Spend} spend
 * @param {Say} say
 * @returns {{names: string[], columns: Column[], minutes: number} | null}
 */
function columnsOf({ models, points }, say) {
  const paid = points.filter((point) => amount(point.cost_usd)?.digits && !Number.isNaN(Date.parse(point.minute)));
  if (!paid.length) return null;
  const id = (/** @type {{provider_id: string, model_id: string}} */ of) => JSON.stringify([of.provider_id, of.model_id]);
  const dearest = models
    .filter((model) => amount(model.cost_usd)?.digits)
    .sort((a, b) => Number(b.cost_usd) - Number(a.cost_usd));
  const own = dearest.slice(0, dearest.length > SERIES ? SERIES - 1 : SERIES);
  const series = new Map(own.map((model, index) => [id(model), index]));
  const names = own.map((model) => modelName(model, say));
  if (paid.some((point) => !series.has(id(point)))) names.push(say("others"));
  const times = paid.map((point) => Date.parse(point.minute) / 60_000);
  const first = Math.min(...times);
  const minutes = Math.max(1, Math.ceil((Math.max(...times) - first + 1) / COLUMNS));
  const count = Math.floor((Math.max(...times) - first) / minutes) + 1;
  /** @type {Column[]} */
  const columns = Array.from({ length: count }, (_, n) => ({
    from: (first + n * minutes) * 60_000,
    costs: names.map(() => []),
  }));
  paid.forEach((point, n) => {
    const place = series.get(id(point)) ?? names.length - 1;
    columns[Math.floor((times[n] - first) / minutes)].costs[place].push(point.cost_usd);
  });
  return { names, columns, minutes };
}

/** @param {Spend} spend @param {Say} say @returns {Child[]} */
export function chart(spend, say) {
  const found = columnsOf(spend, say);
  if (!found) return [];
  const { names, columns, minutes } = found;
  const totals = columns.map((column) => sum(column.costs.flat()));
  const most = totals.reduce((a, b) => (Number(b) > Number(a) ? b : a));
  const width = Math.min(WIDTH / columns.length, 24);
  const shapes = columns.flatMap((column, n) => {
    let top = HEIGHT;
    return column.costs.map((costs, series) => {
      const height = costs.length ? Math.max(share(sum(costs), most) * (HEIGHT - 2), 1) : 0;
      top -= height;
      const box = { x: n * width + 0.5, y: top, width: Math.max(width - 1, 1), height: Math.max(height - 0.5, 0) };
      return height ? h("rect", { key: `${n} ${series}`, class: `sekha-series-${series}`, ...box }) : null;
    });
  });
  const unit = minutes === 1 ? say("a minute") : say("in %1 minutes", minutes);
  const period = [clock(new Date(columns[0].from).toISOString()), clock(new Date(columns[columns.length - 1].from).toISOString())];
  const label = say("Spend over time, from %1 to %2, %3 %4 at most", period[0], period[1], money(most), unit);
  const axis = { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "sekha-axis" };
  const rows = columns.flatMap((column, n) =>
    column.costs.flatMap((costs, series) =>
      costs.length
        ? [h("tr", { key: `${n} ${series}` },
            h("td", {}, clock(new Date(column.from).toISOString())),
            h("td", {}, names[series]),
            h("td", { class: "sekha-number" }, money(sum(costs))))]
        : [],
    ),
  );
  return [
    h("figure", { key: "chart", class: "sekha-chart" },
      h("figcaption", { class: "sekha-quiet" }, say("%1 %2 at most", money(most), unit)),
      h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, shapes, h("line", axis)),
      h("div", { class: "sekha-period", "aria-hidden": "true" }, ...[...new Set(period)].map((time) => h("span", {}, time))),
      h("ul", { class: "sekha-legend" }, names.map((name, n) =>
        h("li", { key: n }, h("span", { class: `sekha-swatch sekha-series-${n}`, "aria-hidden": "true" }), name)))),
    h("details", { key: "table" },
      h("summary", {}, say("The chart as a table")),
      h("table", {},
        h("thead", {}, h("tr", {}, ...[say("from"), say("model")].map((name) => h("th", { scope: "col" }, name)),
          h("th", { scope: "col", class: "sekha-number" }, say("cost")))),
        h("tbody", {}, rows))),
  ]; // prettier-ignore
}
