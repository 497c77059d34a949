/** Shared memories are dear to make, and go late: each serves one cluster after the other, filled with zeros again. */
const free: WebAssembly.Memory[] = [];

const INITIAL_PAGES = 16;
/** One GiB; of which hardly anything is ever touched. */
const MAXIMUM_PAGES = 16_384;

export function takeMemory(): WebAssembly.Memory {
  const memory = free.pop();
  if (memory === undefined)
    return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAXIMUM_PAGES, shared: true });
  new Uint8Array(memory.buffer).fill(0);
  return memory;
}

/** Nobody uses it any more. */
export function giveMemory(memory: WebAssembly.Memory): void {
  free.push(memory);
}
