/** A request of a client, or of whoever administers the voters. */
export interface Call {
  readonly id: number;
  readonly kind: 'propose' | 'read' | 'add' | 'remove' | 'transfer';
  /** Whom it was asked of; 0 is whoever leads. */
  readonly node: number;
  readonly what: string;
  readonly data: Uint8Array | undefined;
  readonly beganMs: number;
  outcome: 'pending' | 'succeeded' | 'refused' | 'unknown';
}

const MARK = Buffer.from('"retention.ms":');

/** Every proposal says, in its last record, which call it is. */
export function markOf(call: number): {
  type: 'broker-config';
  id: number;
  config: { 'retention.ms': number };
} {
  return { type: 'broker-config', id: -1, config: { 'retention.ms': call } };
}

/** The call that proposed these bytes. */
export function callOf(data: Uint8Array): number {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const at = bytes.lastIndexOf(MARK);
  return at === -1 ? -1 : Number.parseInt(bytes.toString('latin1', at + MARK.length), 10);
}
