// Writes package-lock.json anew: `node lock.mjs`, after a change of package.json.
//
// package.json names ranges, because an exact version would mark the extension as incompatible with every other
// JupyterLab. The lock wants one release of the whole @jupyterlab tree, and its newest packages reach a registry one by
// one. So the tree is pinned while npm resolves, and the ranges are put back into the lock by hand: npm would resolve
// again. The lock names no host, also none where somebody asks for money.
import { execSync } from "node:child_process";
import fs from "node:fs";

const JUPYTERLAB = {
  "4.6.4":
    "application attachments cell-toolbar cells codeeditor codemirror completer console core-meta docmanager " +
    "docregistry documentsearch filebrowser fileeditor launcher logconsole lsp mainmenu markedparser-extension mermaid " +
    "nbformat notebook outputarea rendermime settingregistry statedb statusbar tooltip translation ui-components",
  "4.7.4": "apputils",
  "6.6.4": "coreutils toc",
  "7.6.4": "services",
  "5.6.4": "observables",
  "3.14.4": "rendermime-interfaces",
};
const pins = { "@jupyter/builder": "1.2.3", "@rspack/core": "2.2.9", "@rspack/binding": "2.2.9" };
for (const [version, names] of Object.entries(JUPYTERLAB)) {
  for (const name of names.split(" ")) pins[`@jupyterlab/${name}`] = version;
}

const read = (name) => JSON.parse(fs.readFileSync(name, "utf8"));
const write = (name, value) => fs.writeFileSync(name, JSON.stringify(value, null, 2) + "\n");

const ranges = fs.readFileSync("package.json", "utf8");
const pinned = JSON.parse(ranges);
pinned.overrides = { ...pins };
for (const kind of ["dependencies", "devDependencies"]) {
  for (const name of Object.keys(pinned[kind]).filter((name) => name in pins)) {
    pinned[kind][name] = pins[name];
    pinned.overrides[name] = `$${name}`; // npm refuses an override that differs from what is asked for directly
  }
}
fs.rmSync("package-lock.json", { force: true });
write("package.json", pinned);
try {
  execSync("npm install --package-lock-only --ignore-scripts", { stdio: "inherit" });
} finally {
  fs.writeFileSync("package.json", ranges);
}

const lock = read("package-lock.json");
for (const kind of ["dependencies", "devDependencies"]) lock.packages[""][kind] = JSON.parse(ranges)[kind];
for (const entry of Object.values(lock.packages)) delete entry.funding;
write("package-lock.json", lock);
