import { copyOf } from '../log/copy.ts';
import { batchBytes, nextOffset } from '../log/record-batch.ts';
import { DamagedSegmentError } from '../log/segment.ts';
import type { ReplicaBytes } from '../types.ts';
import type { BackgroundClient } from './background-client.ts';
import type { TaskReply } from './background-tasks.ts';
import type { Broker } from './broker.ts';
import { ClientLink } from './client-link.ts';
import type { ControlReply, ControlRequest } from './directory.ts';
import type { Vitals } from './vitals.ts';

interface Control {
  readonly sequence: number;
  readonly request: ControlRequest;
}

/** What the thread of a broker does for it. */
export interface ControlledThread {
  readonly broker: Broker;
  readonly vitals: Vitals;
  readonly background: BackgroundClient | undefined;
  reply(reply: ControlReply): void;
  /** A request may have made work that no bell was rung for. */
  ring(): void;
  /** There are to be no more passes. */
  closing(): void;
  /** The broker is closed: nothing holds the thread any more. */
  closed(): void;
}

/** Takes what the main thread sends to a broker. */
export class BrokerControl {
  readonly #thread: ControlledThread;

  constructor(thread: ControlledThread) {
    this.#thread = thread;
  }

  take(message: Control | TaskReply): void {
    if ('task' in message) this.#thread.background?.settle(message);
    else void this.#answer(message);
  }

  async #answer({ sequence, request }: Control): Promise<void> {
    const { broker, reply, ring, closed } = this.#thread;
    let answer: ControlReply;
    try {
      answer = { sequence, value: await this.#perform(request) };
    } catch (error) {
      const code = error instanceof DamagedSegmentError ? 'CORRUPT_MESSAGE' : undefined;
      answer = { sequence, error: (error as Error).message, code };
    }
    reply(answer);
    ring();
    if (request.type !== 'close') return;
    await broker.close();
    closed();
  }

  #perform(request: ControlRequest): unknown {
    const { broker, vitals, closing } = this.#thread;
    switch (request.type) {
      case 'partitions':
        return broker.assign(request.partitions, request.chunks, request.areAll);
      case 'reform':
        return broker.reform(request.partitions);
      case 'lead':
        broker.lead(request.reigns);
        return undefined;
      case 'admit':
        return broker.admit(request.partition, request.epoch, request.follower);
      case 'welcome':
        broker.welcome(request.addresses, request.port);
        return undefined;
      case 'part':
        broker.part(request.broker);
        return undefined;
      case 'heal':
        return broker.heal(request.partition);
      case 'delete-records':
        return broker.deleteRecords(request.partition, request.offset);
      case 'remove':
        return broker.remove(request.partitions, request.haveMoved === true);
      case 'add':
        return broker.add(request.partitions);
      case 'discard':
        return broker.discard(request.directories);
      case 'configure':
        return broker.configure(request.partitions, request.config);
      case 'attach':
        broker.attach(request.client, new ClientLink(broker, request.client, request.addresses));
        return undefined;
      case 'detach':
        broker.detach(request.client);
        return undefined;
      case 'inspect':
        return inspectReplica(broker, request.partition, request.offset, request.maxBytes);
      case 'metadata':
        vitals.storeMetadata(request.offset);
        return undefined;
      case 'afflict':
        return broker.afflict(request.condition);
      case 'close':
        closing();
        return undefined;
    }
  }
}

/** Raw batches of a replica, for comparison with its leader's. */
export function inspectReplica(
  broker: Broker,
  partition: number,
  offset: number,
  maxBytes: number,
): ReplicaBytes {
  const replica = broker.replicas[partition];
  if (replica === undefined)
    throw new Error(`broker ${broker.id} holds no replica of partition ${partition}`);
  const { logStart, leo, written } = replica.log;
  broker.refreshHwm(replica);
  const from = Math.max(offset, logStart);
  let bytes: Uint8Array;
  try {
    const extent = replica.log.read(from, maxBytes, written);
    bytes = copyOf(extent === undefined ? [] : [extent]);
  } catch (error) {
    broker.readFailed(replica, error);
    throw error;
  }
  let next = from;
  for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) next = nextOffset(bytes, at);
  return { logStart, leo, hwm: replica.hwm, bytes, nextOffset: next };
}
