/**
 * A binary min-heap of keys with a value each. Entries are never removed from the middle: whoever reads the head
 * decides whether it still counts and drops it if not, which costs less than keeping positions up to date.
 */
export class MinHeap<T> {
  #entries: { key: number; value: T }[] = [];

  get size(): number {
    return this.#entries.length;
  }

  head(): { readonly key: number; readonly value: T } | undefined {
    return this.#entries[0];
  }

  push(key: number, value: T): void {
    const entries = this.#entries;
    let index = entries.push({ key, value }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#key(parent) <= key) break;
      this.#swap(index, parent);
      index = parent;
    }
  }

  pop(): { readonly key: number; readonly value: T } | undefined {
    const head = this.#entries[0];
    const last = this.#entries.pop();
    if (last === undefined || this.#entries.length === 0) return head;
    this.#entries[0] = last;
    this.#sink(0);
    return head;
  }

  /** Rebuilds the heap with the entries that still count, once the others outnumber `liveCount`. */
  compact(liveCount: number, isLive: (value: T) => boolean): void {
    if (this.#entries.length <= 2 * liveCount + 64) return;
    const kept = this.#entries.filter(({ value }) => isLive(value));
    this.#entries = [];
    for (const { key, value } of kept) this.push(key, value);
  }

  #sink(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      const smallest = this.#key(left + 1) < this.#key(left) ? left + 1 : left;
      if (this.#key(smallest) >= this.#key(index)) return;
      this.#swap(index, smallest);
      index = smallest;
    }
  }

  #key(index: number): number {
    return this.#entries[index]?.key ?? Infinity;
  }

  #swap(a: number, b: number): void {
    const first = this.#entries[a];
    const second = this.#entries[b];
    if (first === undefined || second === undefined) return;
    this.#entries[a] = second;
    this.#entries[b] = first;
  }
}
