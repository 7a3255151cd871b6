/** Elements whose content is text, whoever wrote it. */

type Child = Node | string | null;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className: string,
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null));
  return made;
}

export interface Column {
  title: string;
  right?: boolean;
}

export interface Row {
  cells: string[];
  strong?: boolean;
}

export function table(caption: string, columns: readonly Column[], rows: readonly Row[]): HTMLElement {
  const side = (index: number): string => (columns[index]?.right ? "sekha-right" : "");
  const heads = columns.map(({ title }, index) => {
    const head = element("th", side(index), title);
    head.scope = "col";
    return head;
  });
  const body = rows.map(({ cells, strong }) =>
    element(
      "tr",
      strong ? "sekha-strong" : "",
      ...cells.map((text, index) => element("td", side(index), text)),
    ),
  );
  const made = element(
    "table",
    "sekha-Table",
    element("caption", "", caption),
    element("thead", "", element("tr", "", ...heads)),
    element("tbody", "", ...body),
  );
  // What is wider than its place scrolls, also by the keyboard.
  const scroller = element("div", "sekha-Scroller", made);
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", caption);
  return scroller;
}
