import type { Message } from '../../src/core/raft/index.ts';
import type { Dice } from './dice.ts';
import { nameOf } from './observer.ts';
import { healedNetwork, type Plan } from './plan.ts';
import type { Scheduler } from './scheduler.ts';

const KINDS: readonly Message['kind'][] = [
  'vote-request',
  'vote-response',
  'append',
  'append-response',
  'heartbeat',
  'heartbeat-response',
  'snapshot',
  'timeout-now',
];

/** Links that lose, double, delay and reorder messages, and that may be cut in one direction alone. */
export class Network {
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #arrive: (message: Message) => void;
  #settings: Plan['network'];
  /** `from * 100 + to`. */
  readonly #cut = new Set<number>();

  constructor(
    scheduler: Scheduler,
    dice: Dice,
    settings: Plan['network'],
    arrive: (message: Message) => void,
  ) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#settings = settings;
    this.#arrive = arrive;
  }

  send(message: Message): void {
    const dice = this.#dice;
    const { lossPercent, doublePercent } = this.#settings;
    const isLost = this.#cut.has(message.from.id * 100 + message.to.id) || dice.percent(lossPercent);
    this.#scheduler.mix(KINDS.indexOf(message.kind) * 100 + message.from.id * 10 + message.to.id);
    this.#scheduler.mix(message.term * 2 + (isLost ? 1 : 0));
    if (isLost) {
      if (this.#scheduler.isTraced) this.#scheduler.note(`lost: ${describeMessage(message)}`);
      return;
    }
    this.#carry(message);
    if (dice.percent(doublePercent)) this.#carry(message);
  }

  cut(from: number, to: number): void {
    this.#cut.add(from * 100 + to);
  }

  mend(from: number, to: number): void {
    this.#cut.delete(from * 100 + to);
  }

  heal(): void {
    this.#cut.clear();
    this.#settings = healedNetwork;
  }

  #carry(message: Message): void {
    const dice = this.#dice;
    const { delayMs, latePercent, lateMs } = this.#settings;
    const late = dice.percent(latePercent) ? dice.between(0, lateMs) : 0;
    const delay = dice.between(delayMs[0], delayMs[1]) + late;
    this.#scheduler.schedule(
      delay,
      'message',
      () => describeMessage(message),
      () => this.#arrive(message),
    );
  }
}

function describeMessage(message: Message): string {
  const { kind, from, to, term } = message;
  return `${nameOf(from)} -> ${nameOf(to)} ${kind} term ${term}${contentOf(message)}`;
}

function contentOf(message: Message): string {
  switch (message.kind) {
    case 'vote-request': {
      const question = `${message.isPreVote ? ' (pre-vote)' : ''}${message.isTransfer ? ' (transfer)' : ''}`;
      return `${question}, log ends at ${message.lastIndex}/${message.lastTerm}`;
    }
    case 'vote-response':
      return `${message.isPreVote ? ' (pre-vote)' : ''} ${message.isGranted ? 'granted' : 'refused'}`;
    case 'append': {
      const entries = message.entries.map((entry) => `${entry.index}/${entry.term} ${entry.kind}`);
      return ` after ${message.prevIndex}/${message.prevTerm} commit ${message.commit} [${entries.join(', ')}]`;
    }
    case 'append-response':
      return message.isAccepted
        ? ` accepted up to ${message.index}`
        : ` refused at ${message.index}, has term ${message.conflictTerm} from ${message.conflictIndex}`;
    case 'heartbeat':
      return ` round ${message.round} commit ${message.commit}`;
    case 'heartbeat-response':
      return ` round ${message.round}`;
    case 'snapshot':
      return ` of ${message.snapshot.index}/${message.snapshot.term}`;
    case 'timeout-now':
      return '';
  }
}
