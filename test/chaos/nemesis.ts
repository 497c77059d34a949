// Random faults, one after the other and some at a time, as a seed has it; and the end of all of them.
import type { Cluster } from '../../src/index.ts';
import { sleep } from '../threads/fixtures.ts';
import { TOPIC } from './clients.ts';
import { type Fault, type FaultPlan, faultsOf, type Undo, unthrottle } from './faults.ts';

/** A fault that is not through by then goes on by itself. */
const FAULT_LIMIT_MS = 10_000;
/** Within this time everything has to be well again when nothing disturbs it any more. */
const HEAL_LIMIT_MS = 60_000;
const HEAL_LOOK_MS = 20;

export interface NemesisPlan extends FaultPlan {
  readonly sessionMs: number;
  /** How many brokers may be in trouble at once. */
  readonly troubledMax: number;
}

export class Nemesis {
  /** How many of each kind there were. */
  readonly counts: Record<string, number> = {};
  /** What happened when, in lines for people. */
  readonly story: string[] = [];
  readonly #cluster: Cluster;
  readonly #plan: NemesisPlan;
  readonly #random: (below: number) => number;
  readonly #startedMs = performance.now();
  readonly #faults: readonly Fault[];
  /** By broker: what ends its trouble. */
  readonly #troubled = new Map<number, { readonly name: string; readonly undo: Undo }>();

  constructor(cluster: Cluster, plan: NemesisPlan, random: (below: number) => number) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#random = random;
    this.#faults = faultsOf(cluster, plan, random);
  }

  async play(runMs: number): Promise<void> {
    const untilMs = performance.now() + runMs;
    while (performance.now() < untilMs) {
      const broker = 1 + this.#random(this.#plan.brokers);
      const trouble = this.#troubled.get(broker);
      if (trouble !== undefined) await this.#end(broker);
      else if (this.#troubled.size < this.#plan.troubledMax) await this.#begin(broker);
      // Now and then for so long that a session ends.
      const longMs = this.#plan.sessionMs * 2;
      await sleep(this.#random(16) === 0 ? this.#plan.sessionMs + this.#random(longMs) : this.#random(100));
    }
  }

  /** Ends all trouble. Undefined when everything is well again; otherwise what is not. */
  async heal(): Promise<string | undefined> {
    for (const broker of [...this.#troubled.keys()]) await this.#end(broker);
    await this.#within('no more throttle', () => unthrottle(this.#cluster));
    const untilMs = performance.now() + HEAL_LIMIT_MS;
    for (let trouble = this.#whatIsWrong(); trouble !== undefined; trouble = this.#whatIsWrong()) {
      if (performance.now() > untilMs)
        return `${trouble} ${HEAL_LIMIT_MS} ms after the last fault: ${this.#describe()}`;
      // A start that was refused, since others hung, is tried again.
      for (const { id, state } of this.#cluster.status().brokers)
        if (['closed', 'failed', 'offline'].includes(state))
          await this.#within(`restart ${id}`, () => this.#cluster.faults.restart(id));
      await sleep(HEAL_LOOK_MS);
    }
    this.#tell('all is well');
    return undefined;
  }

  async #begin(broker: number): Promise<void> {
    const { losesAll } = this.#plan;
    const isQuiet = this.#troubled.size === 0 && this.#whatIsWrong() === undefined;
    const possible = this.#faults.filter(({ isLossy }) => !isLossy || isQuiet);
    let drawn = this.#random(possible.reduce((sum, { weight }) => sum + weight, 0));
    const fault = possible.find(({ weight }) => {
      drawn -= weight;
      return drawn < 0;
    }) as Fault;
    this.counts[fault.name] = (this.counts[fault.name] ?? 0) + 1;
    const label = `${fault.name} ${broker}`;
    let undo: Undo | undefined;
    await this.#within(label, async () => {
      undo = await fault.begin(broker);
    });
    if (undo !== undefined) this.#troubled.set(broker, { name: fault.name, undo });
    // Whoever was emptied gets all of it back before anybody else is in trouble.
    if (fault.isLossy && undo === undefined) await this.#untilWell();
    else if (fault.isLossy && losesAll) {
      await sleep(this.#random(this.#plan.sessionMs));
      await this.#end(broker);
      await this.#untilWell();
    }
  }

  async #end(broker: number): Promise<void> {
    const trouble = this.#troubled.get(broker);
    if (trouble === undefined) return;
    this.#troubled.delete(broker);
    await this.#within(`no more ${trouble.name} ${broker}`, trouble.undo);
  }

  async #untilWell(): Promise<void> {
    const untilMs = performance.now() + HEAL_LIMIT_MS;
    while (this.#whatIsWrong() !== undefined && performance.now() < untilMs) await sleep(HEAL_LOOK_MS);
  }

  async #within(label: string, act: () => Promise<void>): Promise<void> {
    this.#tell(label);
    const acted = act().catch((error: Error) => this.#tell(`${label} was refused: ${error.message}`));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#tell(`${label} takes its time`);
        resolve();
      }, FAULT_LIMIT_MS);
    });
    await Promise.race([acted, late]);
    clearTimeout(timer);
  }

  /** The first thing that keeps the cluster from being whole. */
  #whatIsWrong(): string | undefined {
    const { brokers, topics } = this.#cluster.status();
    const down = brokers.find(({ state }) => state !== 'running');
    if (down !== undefined) return `broker ${down.id} is ${down.state}`;
    for (const { id, isr, replicas, leader } of topics.find(({ name }) => name === TOPIC)?.partitions ?? [])
      if (leader === -1 || isr.length < replicas.length)
        return `partition ${id} has the ISR ${isr.join(', ')}`;
    return undefined;
  }

  #describe(): string {
    const { brokers, topics, quorum } = this.#cluster.status();
    return JSON.stringify({ quorum, brokers, topics });
  }

  #tell(line: string): void {
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    this.story.push(`${seconds.toFixed(3).padStart(8)} s  ${line}`);
  }
}
