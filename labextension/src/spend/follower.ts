/** The state of one kernel as its messages tell it, also when one of them was missed. */

import { applyMessage } from "../../../sekha_magics/widgets/panel.js";
import type { Change, Snapshot, State } from "../live";

export class Follower {
  get state(): State | null {
    return this.known?.state ?? null;
  }

  /** Returns false where a message is missing before this one, once: ask for a snapshot then, and `take` it. */
  take(message: Snapshot | Change): boolean {
    if (message.type === "snapshot") {
      this.known = applyMessage(null, message);
      const later = this.waiting ?? [];
      this.waiting = null;
      // What came while the snapshot was on its way is older than it, or comes after it.
      return later.filter(({ sequence }) => sequence > message.sequence).every((change) => this.take(change));
    }
    if (this.waiting !== null) {
      this.waiting.push(message);
      return true;
    }
    if (this.known === null || message.sequence !== this.known.sequence + 1) {
      this.waiting = [message];
      return false;
    }
    this.known = applyMessage(this.known, message);
    return true;
  }

  private known: { state: State; sequence: number } | null = null;
  private waiting: Change[] | null = null;
}
