/** The panel as a widget: what it shows and asks goes over the messages of the widget. */

import { applyMessage } from "./state.js";
import { Panel } from "./panel.js";

/** @typedef {import("./state.js").Change} Change */
/** @typedef {import("./state.js").Request} Request */
/** @typedef {import("./state.js").Result} Result */
/** @typedef {import("./state.js").Snapshot} Snapshot */
/** @typedef {import("./state.js").State} State */

const ANSWER_SECONDS = 15;
const SILENCE = "The kernel does not answer. If a cell is running, it will when that has ended; if not, run this cell again.";

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

    /** @param {unknown} message */
    function send(message) {
      try {
        model.send(message);
      } catch {
        // The way to a kernel that is gone is closed. What waits for its answer says so in time.
      }
    }

    /** @param {Request} message @returns {Promise<Result>} */
    function request(message) {
      const id = `${view} ${(asked += 1)}`;
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.delete(id);
          reject(new Error(`The kernel did not answer within ${ANSWER_SECONDS} s. It may be busy, or gone: try again, or restart it.`));
        }, ANSWER_SECONDS * 1000); // prettier-ignore
        waiting.set(id, {
          resolve: (result) => (clearTimeout(late), resolve(result)),
          reject: (error) => (clearTimeout(late), reject(error)),
        });
        send({ version: 1, id, ...message });
      });
    }

    const panel = new Panel(el, { request });
    /** @type {ReturnType<typeof setTimeout>[]} */
    let timers = [];

    function begin() {
      timers.forEach(clearTimeout);
      current = null;
      const open = () => current ?? send({ type: "open", view });
      open();
      // The page needs a moment for the subshell by which messages pass a running cell: one sent before waits for its end.
      timers = [setTimeout(open, 500), setTimeout(open, 2000), setTimeout(() => current ?? panel.fail(SILENCE), 5000)];
    }

    /** @param {Snapshot | Change} message */
    function follow(message) {
      // A change of what a later snapshot holds, or from before the first one.
      if (message.type === "change" && (!current || message.sequence <= current.sequence)) return;
      try {
        current = applyMessage(current, message);
      } catch {
        begin();
        return;
      }
      panel.update(current.state);
    }

    /** @param {any} message  for all views of the widget */
    function hear(message) {
      const asker = waiting.get(message.id);
      if (message.type === "snapshot" || message.type === "change") follow(message);
      else if (asker) {
        waiting.delete(message.id);
        if (message.ok) asker.resolve(message);
        else asker.reject(new Error([message.error, message.hint].filter(Boolean).join(" ")));
      }
    }

    model.on("msg:custom", hear);
    // The kernel is gone, or back: either way what is shown may not be so any more.
    model.on("comm_live_update", begin);
    begin();
    return () => {
      timers.forEach(clearTimeout);
      model.off("msg:custom", hear);
      model.off("comm_live_update", begin);
      send({ type: "left", view });
      panel.dispose();
    };
  },
};
