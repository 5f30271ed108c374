// A question that is asked again and again: the newest counts, an older one is cancelled, here and at the server.

export class Asked<T> {
  /** The latest answer; it stays while the next is awaited. */
  value = $state.raw<T | undefined>();
  error = $state.raw<unknown>();
  busy = $state(false);
  #controller: AbortController | undefined;

  /** Asks; what was asked before is given up. */
  async run(question: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    this.cancel();
    const controller = new AbortController();
    this.#controller = controller;
    this.busy = true;
    try {
      const value = await question(controller.signal);
      if (this.#controller !== controller) return undefined;
      this.value = value;
      this.error = undefined;
      return value;
    } catch (error) {
      if (this.#controller === controller && !controller.signal.aborted) this.error = error;
      return undefined;
    } finally {
      if (this.#controller === controller) this.busy = false;
    }
  }

  /** Gives up what is asked. The server notices that nobody reads. */
  cancel(): void {
    this.#controller?.abort();
    this.#controller = undefined;
    this.busy = false;
  }
}
