/** The line over an answer: who answered, what it cost and took, and why; with every candidate on demand. */

import { Clipboard } from "@jupyterlab/apputils";
import type { TranslationBundle } from "@jupyterlab/translation";

import type { Candidate } from "../live";
import { element, table } from "./elements";
import type { Facts } from "./facts";
import { costText, estimateText, timeText, tokensText } from "./words";

/** Asks the kernel that decided; rejects with a sentence for people. */
export type AskCandidates = (decisionId: string) => Promise<Candidate[]>;

const COPIED_MS = 2000;

export function badge(facts: Facts, trans: TranslationBundle, ask: AskCandidates): HTMLElement {
  const quiet = [
    costText(facts.costUsd, facts.costSource, trans),
    facts.latencyMs === null ? "" : timeText(facts.latencyMs),
    tokensText(facts, trans),
    facts.isReplayed ? trans.__("replayed") : "",
    facts.isSimulated ? trans.__("simulated") : "",
  ].filter(Boolean);
  const made = element(
    "div",
    "sekha-Badge",
    element(
      "span",
      "",
      element("strong", "", facts.modelId || trans.__("unknown model")),
      facts.providerId ? ` ${trans.__("at %1", facts.providerId)}` : null,
      ...quiet.map((text) => ` · ${text}`),
    ),
    why(facts, trans, ask),
    copyButton(facts.text, trans),
  );
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", trans.__("About this answer"));
  return made;
}

function copyButton(text: string, trans: TranslationBundle): HTMLElement {
  const said = element("span", "sekha-Hidden");
  said.setAttribute("role", "status");
  const button = element("button", "sekha-Button", trans.__("Copy"));
  button.type = "button";
  button.title = trans.__("Copy the answer as the model wrote it");
  button.addEventListener("click", () => {
    Clipboard.copyToSystem(text);
    button.textContent = trans.__("Copied");
    said.textContent = trans.__("The answer is copied.");
    setTimeout(() => {
      button.textContent = trans.__("Copy");
      said.textContent = "";
    }, COPIED_MS);
  });
  return element("span", "sekha-Badge-copy", button, said);
}

function why(facts: Facts, trans: TranslationBundle, ask: AskCandidates): HTMLElement {
  const summary = element("summary", "", facts.reason || trans.__("why this model"));
  const inside = element("div", "sekha-Why-inside");
  const details = element("details", "sekha-Why", summary, inside);
  const circumstances = [facts.task, facts.policy && trans.__("policy %1", facts.policy)]
    .filter(Boolean)
    .join(", ");
  if (circumstances) inside.append(element("p", "", circumstances));
  if (facts.candidates !== null) inside.append(candidates(facts, facts.candidates, trans));
  else inside.append(notInTheFile(facts, trans, ask));
  if (facts.memory.length) inside.append(memory(facts, trans));
  details.open = facts.explain;
  return details;
}

function notInTheFile(facts: Facts, trans: TranslationBundle, ask: AskCandidates): HTMLElement {
  const said = element("p", "");
  said.setAttribute("role", "status");
  if (!facts.decisionId) {
    said.textContent = trans.__("The file does not say which candidates there were.");
    return said;
  }
  const button = element("button", "sekha-Button", trans.__("Show every candidate"));
  button.type = "button";
  const place = element("div", "", button, said);
  button.addEventListener("click", () => {
    button.disabled = true;
    said.textContent = trans.__("Asking the kernel …");
    ask(facts.decisionId).then(
      (found) => place.replaceChildren(candidates(facts, found, trans)),
      (error: unknown) => {
        button.disabled = false;
        said.textContent = error instanceof Error ? error.message : String(error);
      },
    );
  });
  return place;
}

function candidates(facts: Facts, found: readonly Candidate[], trans: TranslationBundle): HTMLElement {
  const place = (candidate: Candidate): number => candidate.rank ?? Number.POSITIVE_INFINITY;
  const rows = [...found]
    .sort((a, b) => (place(a) === place(b) ? 0 : place(a) - place(b)))
    .map((one) => ({
      strong: one.eligible && one.provider_id === facts.providerId && one.model_id === facts.modelId,
      cells: [
        one.rank === null ? "" : String(one.rank),
        one.model_id,
        one.provider_id,
        String(one.priority),
        estimateText(one.estimated_usd, trans),
        one.reasons.map(({ code, detail }) => (detail ? `${code}: ${detail}` : code)).join("; "),
      ],
    }));
  const columns = [
    { title: trans.__("rank"), right: true },
    { title: trans.__("model") },
    { title: trans.__("provider") },
    { title: trans.__("priority"), right: true },
    { title: trans.__("estimated cost"), right: true },
    { title: trans.__("why not") },
  ];
  const whole = table(trans._n("%1 candidate", "%1 candidates", rows.length), columns, rows);
  if (!facts.candidatesLeftOut) return whole;
  const rest = trans._n("%1 more is not in the file", "%1 more are not in the file", facts.candidatesLeftOut);
  return element("div", "", whole, element("p", "", rest));
}

function memory(facts: Facts, trans: TranslationBundle): HTMLElement {
  const term = (value: number | null): string => (value === null ? "" : value.toFixed(2));
  const rows = facts.memory.map((q) => ({
    cells: [
      q.conversation,
      q.day,
      q.folder,
      q.role,
      ...[q.score, q.similarity, q.importance, q.recency].map(term),
      q.tokens === null ? "" : String(q.tokens),
      [q.pinned ? trans.__("pinned") : "", q.cut ? trans.__("cut") : ""].filter(Boolean).join(", "),
    ],
  }));
  const words = [trans.__("conversation"), trans.__("date"), trans.__("folder"), trans.__("by")];
  const terms = [trans.__("score"), trans.__("similarity"), trans.__("importance"), trans.__("recency")];
  const columns = [
    ...words.map((title) => ({ title })),
    ...[...terms, trans.__("tokens")].map((title) => ({ title, right: true })),
    { title: trans.__("mark") },
  ];
  const caption = trans.__(
    "quoted from memory: half of a score is similarity, a quarter each importance and recency",
  );
  return table(caption, columns, rows);
}
