/**
 * What a kernel spends and how its providers do, live, drawn into one element.
 *
 * The state is that of `live.v1.schema.json`, and none of it is trusted: it reaches the page as text and as nothing
 * else, and nothing is loaded. An update changes what stands there in place, so that whoever types into a field, holds
 * the focus or reads what a button opened is not disturbed. One module without imports: the side panel of JupyterLab
 * bundles it, and the widget `Dashboard` is it.
 */

/**
 * @typedef {string | null} Usd  a decimal number; null is unknown
 * @typedef {"ok" | "warn" | "full"} Level
 * @typedef {{session_id: string, notebook: string | null, started: string, calls: number, cost_usd: string,
 *   unpriced_calls: number, replayed_calls: number, level: Level}} Session
 * @typedef {"session" | "notebook" | "day" | "month"} Scope
 * @typedef {{scope: Scope, name: string, limit_usd: Usd, spent_usd: string, reserved_usd: string, left_usd: Usd,
 *   level: Level, settable: boolean}} BudgetLine
 * @typedef {{lines: BudgetLine[], warn_at: number, error: string | null, per_kernel: boolean}} Budgets
 * @typedef {{provider_id: string, provider_type: string, state: string, failures: number, retry_in_ms: number | null,
 *   last_error: string | null, models: number, calls: number, error_rate: number | null,
 *   latency_p50_ms: number | null, simulated: string | null}} Provider
 * @typedef {{provider_id: string, model_id: string, calls: number, cost_usd: string, unpriced_calls: number,
 *   input_tokens: number, output_tokens: number}} ModelSpend
 * @typedef {{minute: string, provider_id: string, model_id: string, calls: number, cost_usd: string}} Point
 * @typedef {{models: ModelSpend[], points: Point[]}} Spend
 * @typedef {{decision_id: string, time: string, cell_id: string | null, source: string, task: string, policy: string,
 *   provider_id: string, model_id: string, reason: string, outcome: string | null, cost_usd: string,
 *   unpriced_calls: number, input_tokens: number, output_tokens: number, latency_ms: number | null, attempts: number,
 *   candidates: number}} Decision
 * @typedef {{provider_id: string, model_id: string, eligible: boolean, rank: number | null, priority: number,
 *   estimated_usd: Usd, reasons: {code: string, detail: string}[]}} Candidate
 * @typedef {{request_id: string, decision_id: string | null, cell_id: string | null, operation: string,
 *   provider_id: string, model_id: string, attempt: number, elapsed_ms: number, output_tokens: number,
 *   cost_usd: Usd}} Running
 * @typedef {{session: Session, budgets: Budgets, providers: Provider[], spend: Spend, decisions: Decision[],
 *   running: Running[]}} State
 * @typedef {{version: number, type: "snapshot", sequence: number, state: State}} Snapshot
 * @typedef {{version: number, type: "change", sequence: number, changes: Partial<State>}} Change
 * @typedef {{type: "budget", limits: Partial<Record<Scope, Usd>>} | {type: "reset", provider_id: string | null}
 *   | {type: "cancel", request_id: string | null} | {type: "candidates", decision_id: string}
 *   | {type: "resend"}} Request  without version and id
 * @typedef {{version: number, id: string, ok: true, candidates?: Candidate[], snapshot?: Snapshot}} Result
 * @typedef {(text: string) => string} Translate
 * @typedef {{request(message: Request): Promise<Result>, openCell?(cellId: string): void, translate?: Translate}} Host
 *   `request` rejects with an Error whose message is the error and its hint
 */

// ---------------------------------------------------------------------------------------------- money, without floats

/** @typedef {{negative: boolean, digits: bigint, scale: number}} Amount  digits / 10 ** scale */

/** @param {Usd} usd @returns {Amount | null} */
function amount(usd) {
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
function sum(amounts) {
  const all = amounts.map(amount).filter((one) => one !== null);
  const scale = Math.max(0, ...all.map((one) => one.scale));
  const total = all.reduce((so, one) => so + (one.negative ? -1n : 1n) * rounded(one, scale), 0n);
  return `${total < 0n ? "-" : ""}${decimal(total < 0n ? -total : total, scale)}`;
}

/** `part` of `whole` for the length of a bar, from 0 to 1. @param {Usd} part @param {Usd} whole */
function share(part, whole) {
  const [over, under] = [Number(part), Number(whole)];
  if (!(under > 0)) return 1;
  return Math.min(Math.max(over / under, 0), 1);
}

/** `45 %`; `<1 %` for little, and 100 % only where it is all. @param {number} of  from 0 to 1 */
function percent(of) {
  const whole = Math.round(of * 100);
  if (of > 0 && whole === 0) return "<1 %";
  return `${whole === 100 && of < 1 ? 99 : whole} %`;
}

// ------------------------------------------------------------------------------------------------------ words, spans

/**
 * `say("again in %1", span)`, in the reader's language.
 * @param {Translate | undefined} translate
 * @returns {(text: string, ...values: (string | number)[]) => string}
 */
function speaker(translate) {
  return (text, ...values) =>
    (translate ? translate(text) : text).replace(/%([1-9])/g, (_, n) => String(values[Number(n) - 1]));
}

/** @typedef {ReturnType<typeof speaker>} Say */

/** `3 s`, `2 min 5 s`, `1 h 2 min`. @param {number} ms */
function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** `812 ms`, `5.2 s`, `2 min 5 s`. @param {number} ms */
function latency(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : span(ms);
}

/** @param {number} count */
const grouped = (count) => `${count}`.replace(/\B(?=(\d{3})+$)/g, ",");

/** @param {string} time */
function clock(time) {
  const at = new Date(time);
  return Number.isNaN(at.valueOf()) ? time : at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** @param {{provider_id: string, model_id: string}} of @param {Say} say */
function modelName({ provider_id, model_id }, say) {
  if (!model_id) return say("no model yet");
  return provider_id ? say("%1 at %2", model_id, provider_id) : model_id;
}

/** `$0.0412 + 1 unpriced`. @param {{cost_usd: string, unpriced_calls: number}} of @param {Say} say */
function cost({ cost_usd, unpriced_calls }, say) {
  if (!unpriced_calls) return money(cost_usd);
  const rest = say("%1 unpriced", unpriced_calls);
  return amount(cost_usd)?.digits ? `${money(cost_usd)} + ${rest}` : rest;
}

/** What is spent and reserved, of the limit. @param {BudgetLine} line */
const used = (line) => share(sum([line.spent_usd, line.reserved_usd]), line.limit_usd);

/** @param {BudgetLine} line @param {Say} say */
function budgetText(line, say) {
  const reserved = amount(line.reserved_usd)?.digits ? ` ${say("(+ %1 reserved)", money(line.reserved_usd))}` : "";
  if (line.limit_usd === null) return `${money(line.spent_usd)}${reserved}, ${say("no limit")}`;
  const level = { ok: "", warn: say("near the limit"), full: say("at the limit") }[line.level];
  const figure = `${say("%1 of %2", money(line.spent_usd), money(line.limit_usd))}${reserved}, ${percent(used(line))}`;
  return level ? `${figure}, ${level}` : figure;
}

/** @param {string} state @param {Say} say */
function stateWords(state, say) {
  /** @type {Record<string, string>} */
  const words = {
    closed: say("in service"),
    open: say("resting after failures (breaker open)"),
    half_open: say("being tried again (breaker half open)"),
    rate_limited: say("resting, rate limited"),
    auth_failed: say("key refused"),
    no_key: say("no key"),
    disabled: say("switched off"),
  };
  return words[state] ?? state;
}

/** @param {string | null} outcome @param {Say} say */
function outcomeWords(outcome, say) {
  /** @type {Record<string, string>} */
  const words = {
    ok: say("answered"),
    failed: say("failed"),
    refused: say("refused"),
    interrupted: say("interrupted"),
    replayed: say("replayed"),
    dry_run: say("not sent"),
  };
  return outcome === null ? say("running") : (words[outcome] ?? outcome);
}

// ----------------------------------------------------------------------------------------------- the state, followed

/**
 * What a status bar shows. `since` are the milliseconds that have passed since the state came.
 * @param {State} state
 * @param {{since?: number, translate?: Translate}} [options]
 * @returns {{text: string, title: string, level: Level}}
 */
export function statusText(state, { since = 0, translate } = {}) {
  const say = speaker(translate);
  const { session, budgets, running } = state;
  const limited = budgets.lines.filter((line) => line.limit_usd !== null);
  const tightest = limited.reduce(
    (/** @type {BudgetLine | null} */ most, line) => (most === null || used(line) > used(most) ? line : most),
    null,
  );
  const spent = cost(session, say);
  let text = tightest ? `${spent} · ${say("%1 of %2", percent(used(tightest)), tightest.name)}` : spent;
  if (running.length) {
    const elapsed = span(running[0].elapsed_ms + since);
    const begun = running.length > 1 ? say("%1 answering, %2", running.length, elapsed) : say("answering %1", elapsed);
    const tokens = running.reduce((so, one) => so + one.output_tokens, 0);
    text = `… ${begun}${tokens ? ` · ${say("~%1 tokens", grouped(tokens))}` : ""}`;
  }
  const title = [
    say("Sekha: %1 in %2 calls of this session", spent, grouped(session.calls)),
    ...limited.map((line) => `${line.name}: ${budgetText(line, say)}`),
    ...running.map((one) => say("answering: %1", modelName(one, say))),
    ...(budgets.error ? [budgets.error] : []),
  ].join("\n");
  return { text, title, level: session.level };
}

/**
 * The state after a message. Parts that did not change stay the same objects.
 * @param {{state: State, sequence: number} | null} before
 * @param {Snapshot | Change} message
 * @returns {{state: State, sequence: number}}
 * @throws {Error} where a message is missing in between: ask for all of it again
 */
export function applyMessage(before, message) {
  if (message.type === "snapshot") return { state: message.state, sequence: message.sequence };
  if (message.type !== "change") throw new Error(`a message of type ${String(/** @type {any} */ (message).type)}`);
  if (!before || message.sequence !== before.sequence + 1) {
    throw new Error(`message ${message.sequence} after ${before ? before.sequence : "none"}`);
  }
  return { state: { ...before.state, ...message.changes }, sequence: message.sequence };
}

// ------------------------------------------------------------------------------------------- elements, kept in place

/**
 * @typedef {string | Sketch | null | false} Child
 * @typedef {{tag: string, props: Record<string, unknown>, children: Child[]}} Sketch  of an element; `key` among its
 *   props tells it from its neighbours, otherwise its place does
 */

/** @param {string} tag @param {Record<string, unknown>} props @param {(Child | Child[])[]} children @returns {Sketch} */
function h(tag, props, ...children) {
  return { tag, props, children: children.flat() };
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = new Set(["svg", "g", "rect", "line"]);
/** @type {WeakMap<Node, string>} */
const keys = new WeakMap();
/** @type {WeakMap<Element, Record<string, unknown>>} */
const drawn = new WeakMap();

/** Make the children of `parent` those of the sketches, by changing as little as possible. @param {Element} parent */
function patch(parent, /** @type {Child[]} */ sketches) {
  /** @type {Map<string, ChildNode>} */
  const old = new Map();
  for (const node of parent.childNodes) old.set(keys.get(node) ?? "", node);
  /** @type {ChildNode[]} */
  const nodes = [];
  sketches.forEach((sketch, place) => {
    if (sketch === null || sketch === false || sketch === "") return;
    const key = typeof sketch === "string" ? `text ${place}` : `${sketch.tag} ${sketch.props.key ?? `at ${place}`}`;
    const node = old.get(key) ?? made(sketch);
    old.delete(key);
    keys.set(node, key);
    if (typeof sketch !== "string") dress(/** @type {HTMLElement} */ (node), sketch);
    else if (node.nodeValue !== sketch) node.nodeValue = sketch;
    nodes.push(node);
  });
  // What goes, goes first: then only a change of order moves an element, and a moved one loses the focus.
  for (const node of old.values()) node.remove();
  let next = parent.firstChild;
  for (const node of nodes) {
    if (node === next) next = node.nextSibling;
    else parent.insertBefore(node, next);
  }
}

/** @param {Sketch | string} sketch @returns {ChildNode} */
function made(sketch) {
  if (typeof sketch === "string") return document.createTextNode(sketch);
  return SHAPES.has(sketch.tag) ? document.createElementNS(SVG, sketch.tag) : document.createElement(sketch.tag);
}

/** @param {HTMLElement} element @param {Sketch} sketch */
function dress(element, { props, children }) {
  const before = drawn.get(element) ?? {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(props)])) {
    const value = props[name] ?? null;
    if (name === "key" || (name !== "value" && (before[name] ?? null) === value)) continue;
    if (typeof value === "function" || typeof before[name] === "function") Object.assign(element, { [name]: value });
    else if (name === "value") show(/** @type {HTMLInputElement} */ (element), String(value));
    else if (value === null || value === false) element.removeAttribute(name);
    else element.setAttribute(name, String(value));
  }
  drawn.set(element, props);
  patch(element, children);
}

/** @param {HTMLInputElement} field @param {string} value */
function show(field, value) {
  if (field.value !== value) field.value = value;
}

// -------------------------------------------------------------------------------------------------------- the chart

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
function chart(spend, say) {
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
      h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, shapes, h("line", axis)),
      h("div", { class: "sekha-period", "aria-hidden": "true" }, h("span", {}, period[0]), h("span", {}, say("%1 %2 at most", money(most), unit)), h("span", {}, period[1])),
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

// -------------------------------------------------------------------------------------------------------- the panel

const WORSE = { ok: 0, warn: 1, full: 2 };
const now = () => performance.now();
let panels = 0;

export class Panel {
  #el;
  #host;
  #say;
  #root = document.createElement("div");
  #name = `sekha-${(panels += 1)}`;
  /** @type {State | null} */
  #state = null;
  /** @type {string | null} */
  #failure = null;
  // When the running calls and the providers last came: from then on their spans are counted here.
  #came = { running: 0, providers: 0 };
  /** @type {ReturnType<typeof setInterval> | null} */
  #ticking = null;
  /** Controls whose request is under way, and what became of those that failed. @type {Set<string>} */
  #pending = new Set();
  /** @type {Map<string, string>} */
  #errors = new Map();
  /** What is typed and not yet set. @type {Map<Scope, string>} */
  #drafts = new Map();
  /** @type {Set<string>} */
  #open = new Set();
  /** @type {Map<string, Candidate[]>} */
  #candidates = new Map();
  #spoken = "";

  /**
   * @param {HTMLElement} el  where it draws
   * @param {Host} host
   */
  constructor(el, host) {
    this.#el = el;
    this.#host = host;
    this.#say = speaker(host.translate);
    this.#root.className = "sekha-panel";
    el.append(this.#root);
    this.#draw();
  }

  /** @param {State} state */
  update(state) {
    const before = this.#state;
    if (before?.running !== state.running) this.#came.running = now();
    if (before?.providers !== state.providers) this.#came.providers = now();
    this.#state = state;
    this.#failure = null;
    if (before) this.#speakOf(before, state);
    this.#forgetWhatIsGone(state);
    this.#draw();
  }

  /** Say why there is nothing to show. @param {string} text */
  fail(text) {
    this.#failure = text;
    this.#state = null;
    this.#draw();
  }

  dispose() {
    this.#tick(false);
    this.#root.remove();
  }

  #draw() {
    const within = /** @type {Document | ShadowRoot} */ (this.#el.getRootNode());
    const active = /** @type {HTMLElement | null} */ (within.activeElement ?? null);
    const focused = active && this.#root.contains(active) ? active : null;
    const heading = focused?.closest(".sekha-section")?.querySelector("h2");
    patch(this.#root, this.#content());
    if (focused && within.activeElement !== focused) {
      // The button of a call that has ended is gone: whoever was there goes on where it was.
      (focused.isConnected ? focused : heading)?.focus({ preventScroll: true });
    }
    const state = this.#state;
    this.#tick(!!state && (state.running.length > 0 || state.providers.some((one) => one.retry_in_ms !== null)));
  }

  /** @param {boolean} wanted */
  #tick(wanted) {
    if (wanted && this.#ticking === null) this.#ticking = setInterval(() => this.#draw(), 1000);
    if (!wanted && this.#ticking !== null) {
      clearInterval(this.#ticking);
      this.#ticking = null;
    }
  }

  /** @returns {Child[]} */
  #content() {
    const live = h("div", { key: "live", role: "status", class: "sekha-spoken" }, this.#spoken);
    if (!this.#state) return [live, h("p", { key: "failure" }, this.#failure ?? this.#say("Waiting for the kernel …"))];
    return [
      live,
      this.#session(this.#state),
      this.#running(this.#state),
      this.#budgets(this.#state),
      this.#spend(this.#state),
      this.#providers(this.#state),
      this.#decisions(this.#state),
    ];
  }

  /** @param {string} key @param {string} title @param {(Child | Child[])[]} children @returns {Sketch} */
  #section(key, title, ...children) {
    return h("div", { key, class: `sekha-section sekha-${key}` }, h("h2", { tabindex: "-1" }, title), ...children);
  }

  /**
   * A button for `message`, which says beside itself what went wrong.
   * @param {string} control  names it among all
   * @param {string} text
   * @param {string} label  of it alone, heard without its surroundings
   * @param {Request} message
   * @returns {Child[]}
   */
  #button(control, text, label, message) {
    const error = this.#errors.get(control);
    return [
      h("button", { key: control, type: "button", "aria-label": label, "aria-disabled": this.#pending.has(control) ? "true" : null,
        onclick: () => void this.#ask(control, message, label) }, text),
      error ? this.#errorOf(control, error) : null,
    ]; // prettier-ignore
  }

  /** @param {string} control @param {string} error */
  #errorOf(control, error) {
    return h("p", { key: `error ${control}`, role: "alert", class: "sekha-error" }, error);
  }

  /**
   * @param {string} control
   * @param {Request} message
   * @param {string} [doing]  said when it is done
   * @returns {Promise<Result | null>}
   */
  async #ask(control, message, doing) {
    if (this.#pending.has(control)) return null;
    this.#pending.add(control);
    this.#errors.delete(control);
    this.#draw();
    try {
      const result = await this.#host.request(message);
      if (doing) this.#spoken = this.#say("%1: done", doing);
      return result;
    } catch (error) {
      this.#errors.set(control, error instanceof Error ? error.message : String(error));
      return null;
    } finally {
      this.#pending.delete(control);
      this.#draw();
    }
  }

  /** @param {State} state */
  #session({ session }) {
    const say = this.#say;
    const calls = session.calls === 1 ? say("1 call") : say("%1 calls", grouped(session.calls));
    const replayed = session.replayed_calls ? `, ${say("%1 replayed", grouped(session.replayed_calls))}` : "";
    return this.#section("session", say("This session"),
      h("p", { class: "sekha-total" }, h("strong", {}, cost(session, say)), ` ${say("in %1", calls + replayed)}`),
      session.notebook ? h("p", { class: "sekha-quiet" }, session.notebook) : null); // prettier-ignore
  }

  /** @param {State} state */
  #running({ running }) {
    const say = this.#say;
    const since = now() - this.#came.running;
    const rows = running.map((one) => {
      const name = modelName(one, say);
      const facts = [
        span(one.elapsed_ms + since),
        ...(one.operation === "chat" ? [say("~%1 tokens", grouped(one.output_tokens))] : [say("embedding")]),
        ...(one.cost_usd === null ? [] : [`~${money(one.cost_usd)}`]),
        ...(one.attempt > 1 ? [say("attempt %1", one.attempt)] : []),
      ];
      const message = /** @type {Request} */ ({ type: "cancel", request_id: one.request_id });
      return h("li", { key: one.request_id },
        h("span", { class: "sekha-name" }, name), h("span", { class: "sekha-facts" }, facts.join(" · ")),
        h("span", { class: "sekha-actions" },
          ...this.#button(`cancel ${one.request_id}`, say("Cancel"), say("Cancel %1", name), message),
          this.#cellButton(one.cell_id, name))); // prettier-ignore
    });
    const all = /** @type {Request} */ ({ type: "cancel", request_id: null });
    return this.#section("running", say("Running"),
      rows.length ? h("ul", { class: "sekha-rows" }, rows) : h("p", { class: "sekha-quiet" }, say("Nothing is running.")),
      ...(rows.length > 1 ? this.#button("cancel all", say("Cancel all"), say("Cancel all"), all) : [null, null])); // prettier-ignore
  }

  /** @param {string | null} cellId @param {string} name @returns {Child} */
  #cellButton(cellId, name) {
    const host = this.#host;
    if (!cellId || !host.openCell) return null;
    const label = this.#say("Show cell of %1", name);
    return h("button", { key: "cell", type: "button", "aria-label": label, onclick: () => host.openCell?.(cellId) },
      this.#say("Show cell")); // prettier-ignore
  }

  /** @param {State} state */
  #budgets({ budgets }) {
    const say = this.#say;
    const rows = budgets.lines.map((line, n) =>
      h("li", { key: `${line.scope} ${line.name} ${n}`, class: `sekha-level-${line.level}` },
        h("span", { class: "sekha-name" }, line.name),
        h("span", { class: "sekha-facts" }, budgetText(line, say)),
        line.limit_usd === null ? null : h("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "sekha-bar", "aria-hidden": "true" },
          h("rect", { x: 0, y: 0, width: 100, height: 8, class: "sekha-track" }),
          h("rect", { x: 0, y: 0, width: used(line) * 100, height: 8, class: "sekha-filled" }),
          h("line", { x1: budgets.warn_at * 100, x2: budgets.warn_at * 100, y1: 0, y2: 8, class: "sekha-mark" })))); // prettier-ignore
    return this.#section("budgets", say("Budgets"),
      budgets.error ? h("p", { key: "unknown", class: "sekha-error" }, budgets.error) : null,
      h("ul", { key: "lines", class: "sekha-rows" }, rows),
      budgets.per_kernel ? h("p", { key: "kernel", class: "sekha-quiet" }, say("These limits hold for this kernel alone.")) : null,
      this.#limitsForm(budgets)); // prettier-ignore
  }

  /** @param {Budgets} budgets @returns {Child} */
  #limitsForm(budgets) {
    const say = this.#say;
    const settable = budgets.lines.filter((line) => line.settable);
    if (!settable.length) return null;
    const error = this.#errors.get("budget");
    const id = (/** @type {string} */ scope) => `${this.#name}-limit-${scope}`;
    const fields = settable.map(({ scope, name, limit_usd }) => {
      const wrong = error !== undefined && limitOf(this.#drafts.get(scope) ?? "") === undefined;
      return h("div", { key: scope, class: "sekha-field" },
        h("label", { for: id(scope) }, name),
        h("input", { id: id(scope), type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false",
          placeholder: say("no limit"), value: this.#drafts.get(scope) ?? limit_usd ?? "",
          "aria-describedby": `${this.#name}-limits`, "aria-invalid": wrong ? "true" : null,
          oninput: (/** @type {Event} */ event) => this.#type(scope, limit_usd, /** @type {HTMLInputElement} */ (event.target).value) })); // prettier-ignore
    });
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#setLimits();
    };
    return h("details", { key: "limits" },
      h("summary", {}, say("Set limits")),
      h("form", { onsubmit: submit },
        h("p", { id: `${this.#name}-limits`, class: "sekha-quiet" }, say("In USD; empty for no limit.")),
        ...fields,
        h("button", { key: "set", type: "submit", "aria-disabled": this.#pending.has("budget") ? "true" : null }, say("Set")),
        error ? this.#errorOf("budget", error) : null)); // prettier-ignore
  }

  /** @param {Scope} scope @param {Usd} limit @param {string} typed */
  #type(scope, limit, typed) {
    if (typed === (limit ?? "")) this.#drafts.delete(scope);
    else this.#drafts.set(scope, typed);
  }

  async #setLimits() {
    const say = this.#say;
    /** @type {Partial<Record<Scope, Usd>>} */
    const limits = {};
    for (const [scope, typed] of this.#drafts) {
      const limit = limitOf(typed);
      if (limit === undefined) {
        this.#errors.set("budget", say("%1 is not an amount in USD. Write one such as 0.50, or nothing for no limit.", typed));
        return this.#draw();
      }
      limits[scope] = limit;
    }
    if (!Object.keys(limits).length) {
      this.#errors.delete("budget");
      return this.#draw();
    }
    const sent = new Map(this.#drafts);
    if (await this.#ask("budget", { type: "budget", limits }, say("Set limits"))) {
      for (const [scope, typed] of sent) if (this.#drafts.get(scope) === typed) this.#drafts.delete(scope);
      this.#draw();
    }
    return undefined;
  }

  /** @param {State} state */
  #spend({ spend }) {
    const say = this.#say;
    const number = (/** @type {string} */ text) => h("td", { class: "sekha-number" }, text);
    const rows = spend.models.map((model) => {
      const tokens = say("%1 tokens in, %2 out", grouped(model.input_tokens), grouped(model.output_tokens));
      return h("tr", { key: JSON.stringify([model.provider_id, model.model_id]) },
        h("th", { scope: "row" }, modelName(model, say), h("span", { class: "sekha-quiet" }, tokens)),
        number(grouped(model.calls)), number(cost(model, say))); // prettier-ignore
    });
    const head = h("tr", {}, h("th", { scope: "col" }, say("model")),
      ...[say("calls"), say("cost")].map((name) => h("th", { scope: "col", class: "sekha-number" }, name))); // prettier-ignore
    return this.#section("spend", say("Spend by model"),
      rows.length ? null : h("p", { key: "none", class: "sekha-quiet" }, say("Nothing was asked yet.")),
      ...chart(spend, say),
      rows.length ? h("table", { key: "models" }, h("thead", {}, head), h("tbody", {}, rows)) : null); // prettier-ignore
  }

  /** @param {State} state */
  #providers({ providers }) {
    const say = this.#say;
    const since = now() - this.#came.providers;
    const rows = providers.map((one) => {
      const again = one.retry_in_ms === null ? "" : `, ${say("again in %1", span(Math.max(one.retry_in_ms - since, 0)))}`;
      const facts = [
        one.calls === 1 ? say("1 call") : say("%1 calls", grouped(one.calls)),
        ...(one.error_rate ? [say("%1 failed", percent(one.error_rate))] : []),
        ...(one.latency_p50_ms === null ? [] : [say("%1 at the median", latency(one.latency_p50_ms))]),
        ...(one.failures ? [say("%1 failures in a row", one.failures)] : []),
      ];
      const message = /** @type {Request} */ ({ type: "reset", provider_id: one.provider_id });
      return h("li", { key: one.provider_id, class: one.state === "closed" ? "" : "sekha-away" },
        h("span", { class: "sekha-name" }, one.provider_id),
        h("span", { class: "sekha-state" }, stateWords(one.state, say) + again),
        h("span", { class: "sekha-facts sekha-quiet" }, facts.join(" · ")),
        one.simulated ? h("span", { key: "simulated", class: "sekha-facts" }, say("simulated: %1", one.simulated)) : null,
        one.last_error ? h("span", { key: "last", class: "sekha-facts sekha-quiet" }, say("last error: %1", one.last_error)) : null,
        h("span", { key: "actions", class: "sekha-actions" },
          ...this.#button(`reset ${one.provider_id}`, say("Reset"), say("Reset %1", one.provider_id), message))); // prettier-ignore
    });
    return this.#section("providers", say("Providers"),
      rows.length ? h("ul", { class: "sekha-rows" }, rows) : h("p", { class: "sekha-quiet" }, say("No provider is configured."))); // prettier-ignore
  }

  /** @param {State} state */
  #decisions({ decisions }) {
    const say = this.#say;
    const rows = decisions.map((one) => {
      const chosen = one.model_id ? modelName(one, say) : say("no model");
      const id = `${this.#name}-candidates-${one.decision_id}`;
      const open = this.#open.has(one.decision_id);
      const facts = [
        outcomeWords(one.outcome, say),
        ...(one.attempts || one.outcome === "replayed" ? [cost(one, say)] : []),
        ...(one.latency_ms === null ? [] : [latency(one.latency_ms)]),
        ...(one.attempts > 1 ? [say("%1 attempts", one.attempts)] : []),
      ];
      return h("li", { key: one.decision_id },
        h("button", { type: "button", class: "sekha-disclosure", "aria-expanded": String(open), "aria-controls": id,
          onclick: () => void this.#toggle(one.decision_id) },
          h("span", { class: "sekha-name" }, chosen), h("span", { class: "sekha-facts" }, facts.join(" · "))),
        h("span", { class: "sekha-facts sekha-quiet" },
          h("time", { datetime: one.time }, clock(one.time)), ` · ${one.task} · ${one.reason}`),
        h("div", { key: "candidates", id, hidden: open ? null : "" }, open ? this.#candidatesOf(one) : null,
          open ? this.#cellButton(one.cell_id, chosen) : null)); // prettier-ignore
    });
    return this.#section("decisions", say("Last decisions"),
      rows.length ? h("ul", { class: "sekha-rows" }, rows) : h("p", { class: "sekha-quiet" }, say("None yet."))); // prettier-ignore
  }

  /** @param {string} decisionId */
  async #toggle(decisionId) {
    if (this.#open.delete(decisionId)) return this.#draw();
    this.#open.add(decisionId);
    this.#draw();
    if (this.#candidates.has(decisionId)) return undefined;
    const result = await this.#ask(`candidates ${decisionId}`, { type: "candidates", decision_id: decisionId });
    if (result?.candidates) this.#candidates.set(decisionId, result.candidates);
    return this.#draw();
  }

  /** @param {Decision} decision @returns {Child} */
  #candidatesOf({ decision_id, policy }) {
    const say = this.#say;
    const candidates = this.#candidates.get(decision_id);
    const error = this.#errors.get(`candidates ${decision_id}`);
    if (error !== undefined) return this.#errorOf(decision_id, error);
    if (!candidates) return h("p", { key: "wait", class: "sekha-quiet" }, say("Asking the kernel …"));
    if (!candidates.length) return h("p", { key: "none", class: "sekha-quiet" }, say("There were no candidates."));
    const ranked = [...candidates].sort((a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity) || 0);
    return h("table", { key: "table", class: "sekha-candidates" },
      h("caption", {}, say("Every candidate, policy %1", policy)),
      h("thead", {}, h("tr", {}, ...[say("rank"), say("model")].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ranked.map((one, n) => h("tr", { key: n },
        h("td", { class: "sekha-number" }, one.rank === null ? "–" : String(one.rank)),
        h("td", {},
          h("span", { class: "sekha-name" }, modelName(one, say)),
          h("span", { class: "sekha-facts sekha-quiet" }, say("priority %1, about %2", one.priority, money(one.estimated_usd))),
          one.eligible ? null : h("ul", {}, one.reasons.map(({ code, detail }, r) =>
            h("li", { key: r }, detail ? `${code}: ${detail}` : code)))))))); // prettier-ignore
  }

  /** Tell a screen reader what changed for the worse or the better, and not what merely ticks. @param {State} before */
  #speakOf(before, /** @type {State} */ after) {
    const say = this.#say;
    const news = [];
    if (WORSE[after.session.level] > WORSE[before.session.level]) {
      const lines = after.budgets.lines.filter((line) => line.level === after.session.level);
      news.push(...lines.map((line) => `${line.name}: ${budgetText(line, say)}`));
    }
    const states = new Map(before.providers.map((one) => [one.provider_id, one.state]));
    for (const one of after.providers) {
      const was = states.get(one.provider_id);
      if (was !== undefined && was !== one.state) news.push(`${one.provider_id}: ${stateWords(one.state, say)}`);
    }
    if (news.length) this.#spoken = news.join(". ");
  }

  /** @param {State} state */
  #forgetWhatIsGone(state) {
    const decisions = new Set(state.decisions.map((one) => one.decision_id));
    for (const id of this.#open) if (!decisions.has(id)) this.#open.delete(id);
    for (const id of this.#candidates.keys()) if (!decisions.has(id)) this.#candidates.delete(id);
    const running = new Set(state.running.map((one) => `cancel ${one.request_id}`));
    for (const control of this.#errors.keys()) {
      if (control.startsWith("cancel ") && control !== "cancel all" && !running.has(control)) this.#errors.delete(control);
      if (control.startsWith("candidates ") && !decisions.has(control.slice(11))) this.#errors.delete(control);
    }
  }
}

/** What was typed as a limit: null for none, undefined where it is not an amount. @param {string} typed */
function limitOf(typed) {
  const text = typed.replace(/[\s$]/g, "");
  if (!text) return null;
  return /^[0-9]*\.?[0-9]+$/.test(text) ? text.replace(/^\./, "0.") : undefined;
}

// ------------------------------------------------------------------------------------------------------- the widget

const ANSWER_SECONDS = 15;

/**
 * What anywidget gives.
 * @typedef {{send(content: unknown): void, on(event: string, callback: (content: any) => void): void,
 *   off(event: string, callback: (content: any) => void): void}} WidgetModel
 */

export default {
  /** @param {{model: WidgetModel, el: HTMLElement}} context */
  render({ model, el }) {
    /** @type {Map<string, {resolve(result: Result): void, reject(error: Error): void}>} */
    const waiting = new Map();
    /** @type {{state: State, sequence: number} | null} */
    let current = null;
    // Not `crypto.randomUUID`: a page that came over plain http has none.
    const view = Math.random().toString(36).slice(2);
    let asked = 0;

    /** @param {Request} message @returns {Promise<Result>} */
    function request(message) {
      const id = `${view} ${(asked += 1)}`;
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.delete(id);
          reject(new Error(`The kernel did not answer within ${ANSWER_SECONDS} s. It may be busy, or gone: look again, or restart it.`));
        }, ANSWER_SECONDS * 1000); // prettier-ignore
        waiting.set(id, {
          resolve: (result) => (clearTimeout(late), resolve(result)),
          reject: (error) => (clearTimeout(late), reject(error)),
        });
        model.send({ version: 1, id, ...message });
      });
    }

    const panel = new Panel(el, { request });

    async function begin() {
      try {
        const { snapshot } = await request({ type: "resend" });
        if (snapshot) follow(snapshot);
      } catch (error) {
        panel.fail(error instanceof Error ? error.message : String(error));
      }
    }

    /** @param {Snapshot | Change} message */
    function follow(message) {
      try {
        current = applyMessage(current, message);
        panel.update(current.state);
      } catch {
        current = null;
        void begin();
      }
    }

    /** @param {any} message */
    function hear(message) {
      if (message.type === "snapshot") follow(message);
      else if (message.type === "change") {
        // Before the first snapshot, and of what it already holds, nothing is missed.
        if (current && message.sequence > current.sequence) follow(message);
      } else if (waiting.has(message.id)) {
        const { resolve, reject } = /** @type {any} */ (waiting.get(message.id));
        waiting.delete(message.id);
        if (message.ok) resolve(message);
        else reject(new Error([message.error, message.hint].filter(Boolean).join(" ")));
      }
    }

    model.on("msg:custom", hear);
    void begin();
    return () => {
      model.off("msg:custom", hear);
      panel.dispose();
    };
  },
};
