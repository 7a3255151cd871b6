/**
 * Messages to a kernel that also a busy one takes: on a subshell of our own, where it has subshells.
 *
 * JupyterLab's own comms would wait: after a page is loaded, they know of subshells only once the running cell ends.
 */

import { type Kernel, KernelMessage } from "@jupyterlab/services";

// A kernel without subshells does not answer to being asked for one, and one of a page just loaded is not asked at once.
const PATIENCE_MS = 15_000;

export class Wire {
  constructor(private readonly kernel: Kernel.IKernelConnection) {}

  /** Resolves when messages can be sent, with or without a subshell. */
  async open(): Promise<void> {
    const asked = this.kernel.sendControlMessage(this.control("create_subshell_request", {}), true, true);
    const never = new Promise<null>((resolve) => {
      setTimeout(() => resolve(null), PATIENCE_MS);
      void this.kernel.info.then(() => this.kernel.supportsSubshells === false && resolve(null));
    });
    const reply = await Promise.race([done(asked), never]);
    const content = reply?.content as { status?: string; subshell_id?: string } | undefined;
    if (content?.status === "ok" && content.subshell_id) this.subshell = content.subshell_id;
    // Without one, what is sent before the kernel knows itself is lost to a queue.
    else await this.kernel.info;
  }

  close(): void {
    const { subshell, kernel } = this;
    this.subshell = null;
    if (subshell === null || kernel.isDisposed || kernel.connectionStatus !== "connected") return;
    kernel.sendControlMessage(
      this.control("delete_subshell_request", { subshell_id: subshell }),
      false,
      true,
    );
  }

  openComm(id: string, target: string, data: object): void {
    this.shell("comm_open", { comm_id: id, target_name: target, data });
  }

  sendComm(id: string, data: object): void {
    this.shell("comm_msg", { comm_id: id, data });
  }

  /** Whether `expression` is True in the kernel; silently. A kernel of another language knows nothing. */
  async isTrue(expression: string): Promise<boolean> {
    const asked = this.shell(
      "execute_request",
      {
        code: "",
        silent: true,
        store_history: false,
        allow_stdin: false,
        stop_on_error: false,
        user_expressions: { asked: expression },
      },
      true,
    );
    const reply = (await done(asked)) as KernelMessage.IExecuteReplyMsg | null;
    if (reply?.content.status !== "ok") return false;
    const found = reply.content.user_expressions?.asked as { data?: Record<string, unknown> } | undefined;
    return found?.data?.["text/plain"] === "True";
  }

  private shell(msgType: string, content: object, expectReply = false): Kernel.IShellFuture {
    const message = this.message({ msgType, channel: "shell", subshellId: this.subshell, content });
    return this.kernel.sendShellMessage(message as KernelMessage.IShellMessage, expectReply, true);
  }

  private control(msgType: string, content: object): KernelMessage.IControlMessage {
    return this.message({ msgType, channel: "control", content }) as KernelMessage.IControlMessage;
  }

  private message(options: object): unknown {
    const { username, clientId: session } = this.kernel;
    return KernelMessage.createMessage({ username, session, ...options } as never);
  }

  private subshell: string | null = null;
}

/** The reply, or null where the kernel was restarted meanwhile, which cancels what it was asked. */
const done = <T>(future: { done: Promise<T> }): Promise<T | null> => future.done.catch(() => null);
