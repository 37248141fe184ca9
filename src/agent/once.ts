// Says a thing once: looked at again and again, the same trouble is no news.

export class Once {
  readonly #said = new Map<string, string>();

  /** Whether this is something else than was said about the topic last. */
  isNews(topic: string, words: string): boolean {
    if (this.#said.get(topic) === words) return false;
    this.#said.set(topic, words);
    return true;
  }

  /** The topic is settled; true when there was something to settle. */
  settle(topic: string): boolean {
    return this.#said.delete(topic);
  }

  /** Settles every topic below `prefix` that is not among those that stand. */
  settleOthers(prefix: string, standing: ReadonlySet<string>): string[] {
    const settled = [...this.#said.keys()].filter(
      (topic) => topic.startsWith(prefix) && !standing.has(topic),
    );
    for (const topic of settled) this.#said.delete(topic);
    return settled;
  }
}
