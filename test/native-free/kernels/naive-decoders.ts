/** Decoders as plain as the formats allow, against which the kernels are held. Undefined stands for a refusal. */

/** Decompresses one LZ4 block that may give `capacity` bytes, behind `history`. */
export function naiveLz4(
  block: Uint8Array,
  capacity: number,
  history: Uint8Array = new Uint8Array(0),
): Uint8Array | undefined {
  const given: number[] = [...history];
  const most = history.length + capacity;
  let at = 0;
  const lengthFrom = (start: number): number | undefined => {
    let length = start;
    for (let more = start === 15 ? 255 : 0; more === 255; length += more) {
      if (at >= block.length) return undefined;
      more = block[at++] as number;
    }
    return length;
  };
  while (at < block.length) {
    const token = block[at++] as number;
    const literals = lengthFrom(token >> 4);
    if (literals === undefined || at + literals > block.length || given.length + literals > most)
      return undefined;
    given.push(...block.subarray(at, at + literals));
    at += literals;
    if (at === block.length) return Uint8Array.from(given.slice(history.length));
    if (at + 2 > block.length) return undefined;
    const distance = (block[at] as number) + 256 * (block[at + 1] as number);
    at += 2;
    const extra = lengthFrom(token & 15);
    if (extra === undefined || distance === 0 || distance > given.length) return undefined;
    if (given.length + extra + 4 > most) return undefined;
    for (let copied = 0; copied < extra + 4; copied++) given.push(given[given.length - distance] as number);
  }
  return undefined;
}

/** Decompresses the body of a Snappy block that has to give `size` bytes. */
export function naiveSnappy(body: Uint8Array, size: number): Uint8Array | undefined {
  const given: number[] = [];
  let at = 0;
  const number = (bytes: number): number => {
    let value = 0;
    for (let byte = 0; byte < bytes; byte++) value += (body[at++] ?? Number.NaN) * 256 ** byte;
    return value;
  };
  while (at < body.length) {
    const tag = body[at++] as number;
    const kind = tag & 3;
    if (kind === 0) {
      const length = (tag >> 2 < 60 ? tag >> 2 : number((tag >> 2) - 59)) + 1;
      if (!(at + length <= body.length && given.length + length <= size)) return undefined;
      given.push(...body.subarray(at, at + length));
      at += length;
      continue;
    }
    const length = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const distance = kind === 1 ? (tag >> 5) * 256 + number(1) : number(kind === 2 ? 2 : 4);
    if (!(distance > 0 && distance <= given.length && given.length + length <= size)) return undefined;
    for (let copied = 0; copied < length; copied++) given.push(given[given.length - distance] as number);
  }
  return given.length === size ? Uint8Array.from(given) : undefined;
}
