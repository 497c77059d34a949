import { EventEmitter } from 'node:events';
import { ASLEEP, AWAKE } from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { HEARTBEAT_EVERY_MS, THROTTLE_MAX_MS } from '../../../src/limits.ts';
import { Broker } from '../../../src/runtime/broker.ts';
import { BrokerControl } from '../../../src/runtime/broker-control.ts';
import type {
  BrokerAddresses,
  BrokerThreadData,
  ControlReply,
  ControlRequest,
} from '../../../src/runtime/directory.ts';
import type { BrokerSurroundings, BrokerThread } from '../../../src/runtime/surroundings.ts';
import { Vitals } from '../../../src/runtime/vitals.ts';
import type { Dice } from '../dice.ts';
import type { Plan } from './plan.ts';
import type { Line, SimPort } from './sim-port.ts';
import type { Strand } from './strand.ts';

/** What a simulated thread finds around it. */
export interface ThreadWorld {
  readonly plan: Plan;
  readonly dice: Dice;
  readonly main: Strand;
  newStrand(thread: SimThread): Strand;
  newLine(name: string): Line;
  surroundingsOf(thread: SimThread): BrokerSurroundings;
}

type Control = { readonly sequence: number; readonly request: ControlRequest };

/** Stands where a broker's Worker stands: the broker is the product's, its thread is played. */
export class SimThread extends EventEmitter implements BrokerThread {
  readonly id: number;
  readonly strand: Strand;
  broker: Broker | undefined;
  readonly #world: ThreadWorld;
  readonly #data: BrokerThreadData;
  readonly #own: BrokerAddresses;
  readonly #toThread: Line;
  readonly #toMain: Line;
  readonly #ports: SimPort[] = [];
  #vitals: Vitals | undefined;
  #control: BrokerControl | undefined;
  #int32: Int32Array | undefined;
  /** Waiting: a pass is on its way. */
  #state: 'starting' | 'waiting' | 'asleep' | 'closing' | 'ended' = 'starting';
  #hasExited = false;

  constructor(world: ThreadWorld, data: BrokerThreadData, startMs: number) {
    super();
    this.#world = world;
    this.id = data.id;
    this.#data = { ...data, brokers: structuredClone(data.brokers) };
    this.#own = this.#data.brokers.find(({ id }) => id === data.id) as BrokerAddresses;
    this.strand = world.newStrand(this);
    this.#toThread = world.newLine(`main to ${this.strand.name}`);
    this.#toMain = world.newLine(`${this.strand.name} to main`);
    this.#toThread.holdUntil(world.main.clock.nowMs() + startMs);
    for (const port of data.peers.values()) this.#take(port as SimPort);
    this.#toThread.send('begin', () => this.strand.run(() => this.#begin()));
  }

  get isDead(): boolean {
    return this.strand.isDead;
  }

  postMessage(message: unknown): void {
    const { request } = message as Partial<Control>;
    if (request?.type === 'welcome' && request.port !== undefined) this.#take(request.port as SimPort);
    const copy = cloned(message);
    this.#toThread.send(request?.type ?? 'a message', () =>
      this.strand.run(() => this.#control?.take(copy as Control)),
    );
  }

  terminate(): Promise<unknown> {
    this.die('the main thread ended it');
    return new Promise((resolve) => {
      if (this.#hasExited) resolve(undefined);
      else this.once('exit', resolve);
    });
  }

  /** Ends at once, in the midst of whatever it does. */
  die(cause: string): void {
    if (this.strand.isDead) return;
    this.strand.isDead = true;
    this.#state = 'ended';
    for (const port of this.#ports) port.close();
    this.#toMain.send(`exit: ${cause}`, () => this.#tell('exit', 1));
  }

  /** Something in it has thrown. */
  fail(error: Error): void {
    if (this.strand.isDead) return;
    this.#toMain.send('error', () => this.#tell('error', error));
    this.die('it has failed');
  }

  /** Whoever has rung its bell meanwhile has woken it. */
  look(): void {
    this.strand.look();
    if (this.#state !== 'asleep' || this.#int32 === undefined) return;
    const isRung = Atomics.load(this.#int32, this.#own.bell / 4) === AWAKE;
    if (isRung) this.#schedulePass(this.#world.dice.between(...this.#world.plan.wakeMs), false);
  }

  /** Another thread stands in a call of its disk meanwhile: one pass comes in between. */
  passMeanwhile(): void {
    if (this.#state !== 'waiting' || this.strand.isStill) return;
    this.strand.run(() => void this.broker?.pass());
  }

  #begin(): void {
    const notify = (notice: unknown): void => this.#post(notice, 'notice');
    this.broker = new Broker(this.#data, this.#world.surroundingsOf(this), notify);
    this.#int32 = this.broker.arena.reach(this.#own.bell + 4).int32;
    this.#vitals = new Vitals(this.broker.arena, this.#data.vitals);
    const vitals = this.#vitals;
    this.strand.isBlocked = () => vitals.isPaused;
    const { clock } = this.strand;
    clock.every(HEARTBEAT_EVERY_MS, () => vitals.beat(clock.nowMs()));
    this.#control = new BrokerControl({
      broker: this.broker,
      vitals,
      background: undefined,
      reply: (reply: ControlReply) => this.#post(reply, 'reply'),
      ring: () => this.#schedulePass(0.001, true),
      closing: () => {
        this.#state = 'closing';
      },
      closed: () => this.die('it was closed'),
    });
    this.#toMain.send('online', () => this.#tell('online', undefined));
    this.#schedulePass(0, true);
  }

  /** `isAsked`: a pass is done in any case, and not only where there is work. */
  #schedulePass(delayMs: number, isAsked: boolean): void {
    if (this.#state !== 'asleep' && this.#state !== 'starting') return;
    this.#state = 'waiting';
    if (this.#int32 !== undefined) Atomics.store(this.#int32, this.#own.bell / 4, AWAKE);
    this.strand.after(delayMs, 'pass', isAsked ? 'asked' : 'rung', () => this.#pass(isAsked));
  }

  #pass(isAsked: boolean): void {
    const { broker } = this;
    if (broker === undefined || this.#state !== 'waiting') return;
    const worked = (isAsked || broker.hasWork()) && broker.pass();
    if (this.#state !== 'waiting' || this.strand.isDead) return;
    this.#state = 'asleep';
    if (worked) this.#schedulePass(this.#world.dice.between(...this.#world.plan.passMs), true);
    else this.#sleep(broker);
  }

  #sleep(broker: Broker): void {
    const int32 = this.#int32 as Int32Array;
    Atomics.store(int32, this.#own.bell / 4, ASLEEP);
    if (broker.hasWork()) {
      Atomics.store(int32, this.#own.bell / 4, AWAKE);
      this.#schedulePass(this.#world.dice.between(...this.#world.plan.passMs), true);
    } else if (broker.isThrottled) {
      this.strand.clock.schedule(THROTTLE_MAX_MS, () => this.#schedulePass(0, true));
    }
  }

  #take(port: SimPort): void {
    port.giveTo(this.strand);
    this.#ports.push(port);
  }

  #post(message: unknown, what: string): void {
    if (this.strand.isDead) return;
    const copy: unknown = structuredClone(message);
    this.#toMain.send(what, () => this.#tell('message', copy));
  }

  #tell(event: string, value: unknown): void {
    this.#world.main.run(() => {
      if (event === 'exit') this.#hasExited = true;
      this.emit(event, value);
    });
  }
}

/** As a port copies it; what is handed over with it goes along. */
function cloned(message: unknown): unknown {
  const { request } = message as Partial<Control>;
  if (request?.type !== 'welcome') return structuredClone(message);
  const { port, ...rest } = request;
  return { ...(message as object), request: { ...structuredClone(rest), port } };
}
