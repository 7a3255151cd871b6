// The panel is plain JavaScript and is used by the widget as it stands; these are its types for this side.
declare module "*/widgets/panel.js" {
  type Level = import("./live").Level;
  type State = import("./live").State;
  type Translate = (text: string) => string;

  export class Panel {
    constructor(
      el: HTMLElement,
      host: {
        request(message: import("./live").Request): Promise<import("./live").Result>;
        openCell?(cellId: string): void;
        translate?: Translate;
      },
    );
    update(state: State): void;
    fail(text: string): void;
    dispose(): void;
  }
  export function statusText(
    state: State,
    options?: { since?: number; translate?: Translate },
  ): { text: string; title: string; level: Level };
  export function applyMessage(
    before: { state: State; sequence: number } | null,
    message: import("./live").Snapshot | import("./live").Change,
  ): { state: State; sequence: number };
  export function money(usd: string | null): string;
}
