/**
 * One kernel, and what it says of its spending.
 *
 * Two comms, both opened from this side: on one the kernel tells its state, on the other it is asked for things. One for
 * both would do worse, since an answer then waits for the cell that runs. A kernel that does not know them is never
 * sent an opening, because it would print an error into the notebook; so it is asked first, silently.
 */

import { type Kernel, KernelMessage } from "@jupyterlab/services";
import type { TranslationBundle } from "@jupyterlab/translation";
import { UUID } from "@lumino/coreutils";
import type { IDisposable } from "@lumino/disposable";
import { type ISignal, Signal } from "@lumino/signaling";

import {
  type Change,
  CONTROL,
  numbered,
  opening,
  type Refusal,
  type Request,
  type Result,
  type Snapshot,
  STATE,
  type State,
  type Unsupported,
} from "../live";
import { Follower } from "./follower";
import { Wire } from "./wire";

const KNOWS = `'${STATE}' in get_ipython().kernel.comm_manager.targets`;
const GONE: ReadonlySet<Kernel.Status> = new Set(["restarting", "autorestarting", "terminating", "dead"]);

type Answer = { resolve: (result: Result) => void; reject: (error: Error) => void };

const isUnsupported = (data: object): data is Unsupported => "type" in data && data.type === "unsupported";

export class KernelLink implements IDisposable {
  constructor(
    readonly kernel: Kernel.IKernelConnection,
    private readonly trans: TranslationBundle,
  ) {
    kernel.iopubMessage.connect(this.onIOPub, this);
    kernel.statusChanged.connect(this.onStatus, this);
    kernel.disposed.connect(this.dispose, this);
    kernel.connectionStatusChanged.connect(this.onConnection, this);
    this.onConnection();
  }

  /** When there is another state or failure. */
  get changed(): ISignal<this, void> {
    return this.signal;
  }

  get isOpen(): boolean {
    return this.comms !== null;
  }

  get state(): State | null {
    return this.follower.state;
  }

  /** Milliseconds since the running calls were told of. */
  get since(): number {
    return performance.now() - this.runningCame;
  }

  /** A sentence: why there is no state, though the kernel was reached. */
  get failure(): string | null {
    return this.refused;
  }

  /** Whether it is not known yet what the kernel knows. */
  get isAsking(): boolean {
    return this.looking || (this.isOpen && this.state === null);
  }

  get isDisposed(): boolean {
    return this.isGone;
  }

  dispose(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.forget();
    Signal.clearData(this);
  }

  /** Open the comms if they are not, and the kernel knows them. */
  async look(): Promise<void> {
    this.isWorthALook = true;
    if (this.looking) return;
    this.looking = true;
    while (this.isWorthALook && !this.isOpen && this.refused === null && !this.isGone) {
      this.isWorthALook = false;
      await this.lookOnce();
    }
    this.looking = false;
    if (!this.isGone) this.signal.emit();
  }

  private async lookOnce(): Promise<void> {
    const { round } = this;
    const wire = new Wire(this.kernel);
    await wire.open();
    const isKnown = await wire.isTrue(KNOWS);
    if (!isKnown || round !== this.round) {
      wire.close();
      return;
    }
    this.comms = { wire, state: UUID.uuid4(), control: UUID.uuid4() };
    wire.openComm(this.comms.control, CONTROL, opening());
    wire.openComm(this.comms.state, STATE, opening());
  }

  /** Rejects with an Error whose message is what the kernel said and its hint. */
  request(request: Request): Promise<Result> {
    const { comms } = this;
    if (comms === null) return Promise.reject(this.lost());
    const id = `q${++this.asked}`;
    return new Promise((resolve, reject) => {
      this.answers.set(id, { resolve, reject });
      comms.wire.sendComm(comms.control, numbered(request, id));
    });
  }

  private onIOPub(_kernel: unknown, message: KernelMessage.IIOPubMessage): void {
    if (KernelMessage.isCommMsgMsg(message)) {
      const { comm_id: id, data } = message.content;
      if (id !== this.comms?.state && id !== this.comms?.control) return;
      if (isUnsupported(data)) this.refuse(data);
      else if (id === this.comms.state) this.onState(data);
      else this.onControl(data);
    } else if (KernelMessage.isCommCloseMsg(message)) {
      const { comm_id: id } = message.content;
      if (id === this.comms?.state || id === this.comms?.control) this.forget(this.refused);
    } else if (!this.isOpen) {
      this.notice(message);
    }
  }

  /** A cell that mentions us has ended: the kernel may know us now. */
  private notice(message: KernelMessage.IIOPubMessage): void {
    const id = "msg_id" in message.parent_header ? message.parent_header.msg_id : "";
    if (KernelMessage.isExecuteInputMsg(message)) {
      if (message.content.code.includes("sekha")) this.mentions.add(id);
    } else if (KernelMessage.isStatusMsg(message) && message.content.execution_state === "idle") {
      if (this.mentions.delete(id)) void this.look();
    }
  }

  /** After a page was loaded, the kernel may know us already. */
  private onConnection(): void {
    if (this.kernel.connectionStatus === "connected") void this.look();
  }

  private onStatus(_kernel: unknown, status: Kernel.Status): void {
    if (GONE.has(status)) this.forget();
  }

  /** Each comm says it, and is closed then. */
  private refuse({ supported }: Unsupported): void {
    const versions = supported.join(", ");
    this.forget(
      this.trans.__(
        "This JupyterLab and the kernel's sekha_magics do not fit: it speaks version %1.",
        versions,
      ),
    );
  }

  private onState(data: unknown): void {
    const message = data as Snapshot | Change;
    const before = this.follower.state;
    if (!this.follower.take(message)) {
      void this.resend();
      return;
    }
    this.tell(before);
  }

  /** A message was missed: all of it again. */
  private async resend(): Promise<void> {
    const round = this.round;
    // Where the kernel is gone meanwhile, or refuses, there is nothing to go on from: it is asked anew when it is back.
    const answer = await this.request({ type: "resend" }).catch(() => null);
    const snapshot = answer?.snapshot;
    if (snapshot === undefined || round !== this.round) return;
    const before = this.follower.state;
    if (!this.follower.take(snapshot)) void this.resend();
    this.tell(before);
  }

  private tell(before: State | null): void {
    if (before?.running !== this.follower.state?.running) this.runningCame = performance.now();
    this.signal.emit();
  }

  private onControl(data: unknown): void {
    const message = data as Result | Refusal;
    const answer = message.id === null ? undefined : this.answers.get(message.id);
    if (answer === undefined || message.id === null) return;
    this.answers.delete(message.id);
    if (message.ok) answer.resolve(message);
    else answer.reject(new Error([message.error, message.hint].filter(Boolean).join(" ")));
  }

  /** The comms are gone, with all that was known; `refused` is why they are not to be opened again. */
  private forget(refused: string | null = null): void {
    this.round += 1;
    this.refused = refused;
    this.follower = new Follower();
    this.mentions.clear();
    this.comms?.wire.close();
    this.comms = null;
    for (const { reject } of this.answers.values()) reject(this.lost());
    this.answers.clear();
    if (!this.isGone) this.signal.emit();
  }

  private lost(): Error {
    return new Error(
      this.trans.__("The kernel does not listen: it was restarted, or sekha_magics is not loaded in it."),
    );
  }

  private readonly signal = new Signal<this, void>(this);
  private follower = new Follower();
  private comms: { wire: Wire; state: string; control: string } | null = null;
  private readonly answers = new Map<string, Answer>();
  private readonly mentions = new Set<string>();
  private refused: string | null = null;
  private runningCame = 0;
  private round = 0;
  private asked = 0;
  private looking = false;
  private isWorthALook = false;
  private isGone = false;
}
