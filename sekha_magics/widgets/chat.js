/**
 * A conversation in the page. Answers come as HTML that is harmless by construction (`display/markdown.py` makes it);
 * everything else is text, and nothing is loaded. What stands there stays in place while more comes.
 */

/**
 * @typedef {{question: string, html: string, line: string, error: string, hint: string}} Turn
 * @typedef {{get(name: string): any, set(name: string, value: unknown): void, save_changes(): void,
 *   send(content: unknown): void, on(event: string, callback: (content: any) => void): void,
 *   off(event: string, callback: (content: any) => void): void}} Model
 */

const CONTROLS = "a, button, select, textarea, [tabindex]";

/** In a notebook, JupyterLab takes Enter and the arrows for itself from all but those that say this of themselves. */
function keepKeys(/** @type {HTMLElement} */ root) {
  for (const control of root.querySelectorAll(CONTROLS)) control.setAttribute("data-lm-suppress-shortcuts", "true");
}

const SILENCE =
  "The kernel does not answer. If a cell is running, it will when that has ended; if not, run the cell of this chat again.";

let widgets = 0;

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** @param {string} html  harmless by construction */
function answer(html) {
  const made = element("div", { class: "sekha-answer" });
  made.innerHTML = html;
  keepKeys(made);
  return made;
}

/** @param {string} text */
function question(text) {
  return element("div", { class: "sekha-question" }, element("strong", {}, "You"), element("p", {}, text));
}

/** @param {Turn} turn */
function drawn(turn) {
  const made = element("div", { class: "sekha-turn" }, question(turn.question));
  if (turn.html) made.append(answer(turn.html));
  if (turn.line) made.append(element("p", { class: "sekha-line" }, turn.line));
  if (turn.error) {
    const error = element("div", { class: "sekha-failed" }, element("strong", {}, "Error"), element("p", {}, turn.error));
    if (turn.hint) error.append(element("p", {}, turn.hint));
    made.append(error);
  }
  return made;
}

/**
 * A choice of what the registry offers; the first option leaves it to the routing.
 * @param {Model} model
 * @param {string} id
 * @param {"model" | "task"} name
 * @param {string} label
 */
function choice(model, id, name, label) {
  const select = element("select", { id: `${id}-${name}` });
  function offer() {
    const chosen = model.get(name);
    const names = new Set([...model.get(`${name}s`), ...(chosen ? [chosen] : [])]);
    select.replaceChildren(element("option", { value: "" }, "as routed"));
    for (const one of names) select.append(element("option", { value: one }, one));
    select.value = chosen;
  }
  select.addEventListener("change", () => {
    model.set(name, select.value);
    model.save_changes();
  });
  offer();
  const row = element("span", { class: "sekha-choice" }, element("label", { for: select.id }, label), select);
  return { row, offer };
}

export default {
  /** @param {{model: Model, el: HTMLElement}} context */
  render({ model, el }) {
    const id = `sekha-chat-${(widgets += 1)}`;
    const models = choice(model, id, "model", "Model");
    const tasks = choice(model, id, "task", "Task");
    const spent = element("span", { class: "sekha-spent" });
    const earlier = element("p", { class: "sekha-line" });
    // What is finished is read aloud once; what is being written changes all the time, and is not.
    const said = element("div", { role: "log", "aria-label": `Conversation ${model.get("name")}` });
    const writing = element("div", { class: "sekha-turn", "aria-live": "off", hidden: "" });
    const scroll = element("div", { class: "sekha-scroll", tabindex: "0", role: "group", "aria-label": "What was said" },
      earlier, said, writing); // prettier-ignore
    const field = element("textarea", { id: `${id}-text`, rows: "2", placeholder: "Ask something", "aria-describedby": `${id}-keys ${id}-refused` });
    const send = element("button", { type: "submit" }, "Send");
    const stop = element("button", { type: "button", hidden: "" }, "Stop");
    const refused = element("p", { id: `${id}-refused`, class: "sekha-failed", role: "alert", hidden: "" });
    const state = element("span", { role: "status", class: "sekha-line" });
    const keys = element("span", { id: `${id}-keys`, class: "sekha-line" }, "Enter sends, Shift+Enter begins a line");
    const form = element("form", {},
      element("label", { for: field.id, class: "sekha-unseen" }, "Your message"), field,
      element("div", { class: "sekha-buttons" }, send, stop, state, keys), refused); // prettier-ignore
    const root = element("div", { class: "sekha-chat" },
      element("div", { class: "sekha-head" }, element("strong", {}, model.get("name")), models.row, tasks.row, spent),
      scroll, form); // prettier-ignore

    /** The turns that stand there. @type {Turn[]} */
    let shown = [];
    /** The question that the kernel has not taken yet. @type {{id: string, text: string} | null} */
    let sent = null;
    let asked = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let late;

    function follow(/** @type {() => void} */ change) {
      const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
      change();
      if (atEnd) scroll.scrollTop = scroll.scrollHeight;
    }

    function showTurns() {
      /** @type {Turn[]} */
      const turns = model.get("turns");
      const first = model.get("earlier");
      const known = JSON.stringify(shown);
      follow(() => {
        earlier.textContent = first ? `${first} earlier in the transcript below` : "";
        if (JSON.stringify(turns.slice(0, shown.length)) !== known) {
          said.replaceChildren();
          shown = [];
        }
        said.append(...turns.slice(shown.length).map(drawn));
        shown = turns;
      });
    }

    function showAsking() {
      const text = model.get("asking");
      const busy = text !== null;
      follow(() => {
        writing.hidden = !busy;
        writing.replaceChildren(...(busy ? [question(text), element("p", { class: "sekha-line" }, "… writing")] : []));
      });
      send.setAttribute("aria-disabled", String(busy));
      const held = stop === /** @type {Document | ShadowRoot} */ (el.getRootNode()).activeElement;
      stop.hidden = !busy;
      state.textContent = busy ? "Answering …" : "";
      if (held && !busy) field.focus({ preventScroll: true });
    }

    function showSpent() {
      spent.textContent = model.get("spent");
    }

    /** @param {string} text */
    function refuse(text) {
      refused.textContent = text;
      refused.hidden = !text;
    }

    /** @param {any} message */
    function hear(message) {
      if (message.type === "writing" && model.get("asking") !== null) {
        follow(() => writing.replaceChildren(...[...writing.children].slice(0, 1), answer(message.html), element("p", { class: "sekha-line" }, "… writing")));
      } else if (message.type === "heard" && message.id === sent?.id) {
        clearTimeout(late);
        refuse(message.error ?? "");
        if (!message.error && field.value === sent?.text) field.value = "";
        sent = null;
      }
    }

    /** @param {unknown} message */
    function tell(message) {
      try {
        model.send(message);
      } catch {
        // The way to a kernel that is gone is closed.
        refuse(SILENCE);
      }
    }

    function ask() {
      if (!field.value.trim()) return;
      if (model.get("asking") !== null) return refuse("An answer is still being written: wait for it, or stop it.");
      refuse("");
      sent = { id: `${id} ${(asked += 1)}`, text: field.value };
      clearTimeout(late);
      late = setTimeout(() => refuse(SILENCE), 10_000);
      tell({ type: "ask", id: sent.id, text: sent.text });
      return undefined;
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    stop.addEventListener("click", () => tell({ type: "stop" }));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      // JupyterLab keeps Shift+Enter from beginning a line, since it runs cells.
      if (event.shiftKey) field.setRangeText("\n", field.selectionStart, field.selectionEnd, "end");
      else ask();
    });

    /** @type {[string, (content: any) => void][]} */
    const listeners = [
      ["change:turns", showTurns],
      ["change:asking", showAsking],
      ["change:spent", showSpent],
      ["change:models", models.offer],
      ["change:tasks", tasks.offer],
      ["change:model", models.offer],
      ["change:task", tasks.offer],
      ["msg:custom", hear],
      ["comm_live_update", () => void (model.get("asking") === null || refuse(SILENCE))],
    ];
    for (const [event, listener] of listeners) model.on(event, listener);
    keepKeys(root);
    el.append(root);
    showTurns();
    showAsking();
    showSpent();
    return () => {
      clearTimeout(late);
      for (const [event, listener] of listeners) model.off(event, listener);
      root.remove();
    };
  },
};
