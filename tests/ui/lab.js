// What the browser tests ask of a running JupyterLab. It stands there as `window.sekhaLab`.
window.sekhaLab = {
  // A promise that must come true in time: one that never does would hold up the whole run.
  inTime(what, promise, seconds = 90) {
    const late = (_, reject) => setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), seconds * 1000);
    return Promise.race([promise, new Promise(late)]);
  },

  // Resolves when a kernel answers: the execution indicator says idle before that.
  async open(path) {
    const { inTime } = window.sekhaLab;
    await inTime("the workspace", window.jupyterapp.restored);
    const args = { path, factory: "Notebook", kernel: { name: "python3" } };
    await window.sekhaLab.take(await inTime("opening", window.jupyterapp.commands.execute("docmanager:open", args)));
  },

  // Notebook 7 has opened the notebook of its address, and opens no other.
  async takeCurrent() {
    await window.sekhaLab.inTime("starting", window.jupyterapp.restored);
    await window.sekhaLab.take(window.jupyterapp.shell.currentWidget);
  },

  async take(panel) {
    const { inTime } = window.sekhaLab;
    await inTime("the document", panel.context.ready);
    await inTime("the session", panel.sessionContext.ready);
    await inTime("the kernel", panel.sessionContext.session.kernel.info);
    window.sekhaLab.panel = panel;
  },

  // Resolves when the kernel is done with the cell, with the errors it raised.
  async run(index) {
    const notebook = window.sekhaLab.panel.content;
    notebook.deselectAll();
    notebook.activeCellIndex = index;
    await window.sekhaLab.inTime("the cell", window.jupyterapp.commands.execute("notebook:run-cell"), 300);
    return window.sekhaLab.outputs(index).filter((output) => output.output_type === "error");
  },

  outputs(index) {
    return window.sekhaLab.panel.content.model.cells.get(index).outputs.toJSON();
  },

  async save() {
    await window.sekhaLab.panel.context.save();
  },

  async theme(name) {
    await window.jupyterapp.commands.execute("apputils:change-theme", { theme: name });
  },

  touch() {
    for (const element of document.querySelectorAll(".jp-OutputArea-output *")) {
      for (const kind of ["mouseover", "pointerenter", "focus", "toggle", "error", "load"]) {
        element.dispatchEvent(new Event(kind));
      }
    }
  },

  // Everything in the outputs that could run or load something, however it got there.
  suspects() {
    const found = [];
    for (const area of document.querySelectorAll(".jp-OutputArea-output")) {
      for (const element of area.querySelectorAll("*")) {
        if (element.closest("mjx-container")) continue;
        const name = element.localName;
        if (["script", "style", "link", "meta", "base", "iframe", "object", "embed", "img", "form", "video",
             "audio", "source", "template", "input", "button", "foreignObject", "use", "image", "animate", "set",
             ].includes(name) || (name === "svg" && element.getAttribute("role") !== "img")) {
          found.push(name);
        }
        for (const { name: attribute, value } of element.attributes) {
          const scheme = /^[a-z]+:/i.exec(value)?.[0].toLowerCase();
          if (attribute.startsWith("on") || attribute === "src" || attribute === "srcset" || /url\(/i.test(value)
              || attribute.startsWith("data-command")
              || (attribute === "href" && !value.startsWith("#") && !["http:", "https:", "mailto:"].includes(scheme))) {
            found.push(`${name} ${attribute}=${value}`);
          }
        }
      }
    }
    return found;
  },
};
