/**
 * One kernel, and what it says of its spending.
 *
 * Two comms, both opened from this side: on one the kernel tells its state, on the other it is asked for things. One for
 * both would do worse, since an answer then waits for the cell that runs. A kernel that does not know them is never
 * sent an opening, because it would print an error into the notebook; so it is asked first, silently.
 */

import { type Kernel, KernelMessage } from "@jupyterlab/services";
import type { TranslationBundle } from "@jupyterlab/translation";
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

const KNOWS = `'${STATE}' in get_ipython().kernel.comm_manager.targets`;
// A kernel that promised a subshell and has not started it by then is spoken to without.
const SUBSHELL_MS = 3000;
const GONE: ReadonlySet<Kernel.Status> = new Set(["restarting", "autorestarting", "terminating", "dead"]);

// What JupyterLab 4.4 added to a comm.
type Comm = Kernel.IComm & { subshellStarted?: Promise<void>; subshellId?: string | null };

type Answer = { resolve: (result: Result) => void; reject: (error: Error) => void };

export class KernelLink implements IDisposable {
  constructor(
    readonly kernel: Kernel.IKernelConnection,
    private readonly trans: TranslationBundle,
  ) {
    kernel.iopubMessage.connect(this.onIOPub, this);
    kernel.statusChanged.connect(this.onStatus, this);
    kernel.disposed.connect(this.dispose, this);
    void kernel.info.then(() => this.look());
  }

  /** When there is another state or failure. */
  get changed(): ISignal<this, void> {
    return this.signal;
  }

  get isOpen(): boolean {
    return this.control !== null;
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
    if (this.looking || this.isOpen || this.refused !== null || this.isGone || !this.kernel.handleComms)
      return;
    this.looking = true;
    const round = this.round;
    let state: Comm | null = null;
    try {
      state = this.kernel.createComm(STATE);
      await this.subshell(state);
      if (!(await this.knows(state)) || round !== this.round) return;
      const control = this.kernel.createComm(CONTROL);
      await this.subshell(control);
      if (round !== this.round) return;
      control.onMsg = (message) => this.onControl(message.content.data);
      state.onMsg = (message) => this.onState(message.content.data);
      state.onClose = control.onClose = () => this.forget();
      this.control = control;
      control.open(opening());
      state.open(opening());
      this.comms = [state, control];
      state = null;
    } finally {
      state?.dispose();
      this.looking = false;
    }
  }

  /** Rejects with an Error whose message is what the kernel said and its hint. */
  request(request: Request): Promise<Result> {
    const { control } = this;
    if (control === null || control.isDisposed) return Promise.reject(this.lost());
    const id = `q${++this.asked}`;
    return new Promise((resolve, reject) => {
      this.answers.set(id, { resolve, reject });
      control.send(numbered(request, id));
    });
  }

  private onIOPub(_kernel: unknown, message: KernelMessage.IIOPubMessage): void {
    const parent = message.parent_header;
    const id = "msg_id" in parent ? parent.msg_id : null;
    if (id === null || this.isOpen) return;
    if (KernelMessage.isExecuteInputMsg(message)) {
      if (message.content.code.includes("sekha")) this.mentions.add(id);
    } else if (KernelMessage.isStatusMsg(message) && message.content.execution_state === "idle") {
      if (this.mentions.delete(id)) void this.look();
    }
  }

  private onStatus(_kernel: unknown, status: Kernel.Status): void {
    if (GONE.has(status)) this.forget();
  }

  private onState(data: unknown): void {
    const message = data as Snapshot | Change | Unsupported;
    if (message.type === "unsupported") {
      const supported = message.supported.join(", ");
      this.forget(
        this.trans.__(
          "This JupyterLab and the kernel's sekha_magics do not fit: it speaks version %1.",
          supported,
        ),
      );
      return;
    }
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
    const { snapshot } = await this.request({ type: "resend" });
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
    const comms = this.comms;
    this.comms = [];
    this.control = null;
    for (const comm of comms) if (!comm.isDisposed) comm.dispose();
    for (const { reject } of this.answers.values()) reject(this.lost());
    this.answers.clear();
    if (!this.isGone) this.signal.emit();
  }

  private lost(): Error {
    return new Error(
      this.trans.__("The kernel does not listen: it was restarted, or sekha_magics is not loaded in it."),
    );
  }

  private async subshell(comm: Comm): Promise<void> {
    if (!this.kernel.supportsSubshells) return;
    await Promise.race([comm.subshellStarted, new Promise((resolve) => setTimeout(resolve, SUBSHELL_MS))]);
  }

  /** On the subshell of `comm` where there is one: it answers also while a cell runs. */
  private async knows(comm: Comm): Promise<boolean> {
    const message = KernelMessage.createMessage<KernelMessage.IExecuteRequestMsg>({
      msgType: "execute_request",
      channel: "shell",
      username: this.kernel.username,
      session: this.kernel.clientId,
      subshellId: comm.subshellId ?? this.kernel.subshellId,
      content: {
        code: "",
        silent: true,
        store_history: false,
        allow_stdin: false,
        stop_on_error: false,
        user_expressions: { sekha: KNOWS },
      },
    });
    const asked = this.kernel.sendShellMessage(message, true, true);
    // It is cancelled when the kernel is restarted meanwhile: then nobody knows anything.
    const reply = (await asked.done.catch(() => null)) as KernelMessage.IExecuteReplyMsg | null;
    if (reply?.content.status !== "ok") return false;
    const found = reply.content.user_expressions?.sekha as { data?: Record<string, unknown> } | undefined;
    return found?.data?.["text/plain"] === "True";
  }

  private readonly signal = new Signal<this, void>(this);
  private follower = new Follower();
  private comms: Kernel.IComm[] = [];
  private control: Kernel.IComm | null = null;
  private readonly answers = new Map<string, Answer>();
  private readonly mentions = new Set<string>();
  private refused: string | null = null;
  private runningCame = 0;
  private round = 0;
  private asked = 0;
  private looking = false;
  private isGone = false;
}
