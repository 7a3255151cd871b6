/**
 * What a kernel spends and how its providers do, live, drawn into one element.
 *
 * The state is that of `live.v1.schema.json`, and none of it is trusted: it reaches the page as text and as nothing
 * else, and nothing is loaded. An update changes what stands there in place, so that whoever types into a field, holds
 * the focus or reads what a button opened is not disturbed. The side panel of JupyterLab bundles it, and the widget
 * `Dashboard` is it.
 */

import { amount, money, percent } from "./money.js";
import { budgetText, clock, cost, estimate, grouped, latency, modelName, outcomeWords, span, speaker, stateWords, used } from "./words.js";
import { chart } from "./chart.js";
import { h, patch } from "./elements.js";

export { money } from "./money.js";
export { applyMessage, statusText } from "./state.js";

/** @typedef {import("./state.js").Budgets} Budgets */
/** @typedef {import("./state.js").Candidate} Candidate */
/** @typedef {import("./state.js").Decision} Decision */
/** @typedef {import("./state.js").Host} Host */
/** @typedef {import("./state.js").Request} Request */
/** @typedef {import("./state.js").Result} Result */
/** @typedef {import("./state.js").Scope} Scope */
/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Usd} Usd */
/** @typedef {import("./elements.js").Child} Child */
/** @typedef {import("./elements.js").Sketch} Sketch */

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
      session.notebook ? h("p", { class: "sekha-quiet", title: session.notebook }, session.notebook.replace(/^.*[/\\]/, "")) : null); // prettier-ignore
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
          onkeydown: submitOnEnter,
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
      const again = one.retry_in_ms === null ? "" : `, ${say("again in %1", span(Math.ceil((one.retry_in_ms - since) / 1000) * 1000))}`;
      const facts = [
        one.calls === 1 ? say("1 call") : say("%1 calls", grouped(one.calls)),
        ...(one.error_rate ? [say("%1 failed", percent(one.error_rate))] : []),
        ...(one.latency_p50_ms === null ? [] : [say("%1 at the median", latency(one.latency_p50_ms))]),
        ...(one.failures > 1 ? [say("%1 failures in a row", one.failures)] : []),
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
          h("span", { class: "sekha-facts sekha-quiet" }, say("priority %1, %2", one.priority, estimate(one.estimated_usd, say))),
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

/** In a notebook, JupyterLab keeps the browser from doing it. @param {KeyboardEvent} event */
function submitOnEnter(event) {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  /** @type {HTMLInputElement} */ (event.target).form?.requestSubmit();
}

/** What was typed as a limit: null for none, undefined where it is not an amount. @param {string} typed */
function limitOf(typed) {
  const text = typed.replace(/[\s$]/g, "");
  if (!text) return null;
  return /^[0-9]*\.?[0-9]+$/.test(text) ? text.replace(/^\./, "0.") : undefined;
}
