import type { AnswerTo, Command, Decision, DecisionContext } from '../core/metadata/commands.ts';
import { decideAll } from '../core/metadata/controller.ts';
import type { MetadataImage } from '../core/metadata/image.ts';
import { encodeRecords } from '../core/metadata/records.ts';
import { TidemarkError } from '../errors.ts';
import { CONTROL_TIMEOUT_MS } from '../limits.ts';
import { MetadataMachine, type Published, PublishedImage } from './metadata-machine.ts';
import { Quorum, type QuorumSetup, type Seat } from './quorum.ts';
import { ProposalError, type Voter } from './voter.ts';

/** Commands that are decided on together, and written down in one entry. */
const COMMANDS_AN_ENTRY_MAX = 256;

export interface ControllerSetup extends Omit<QuorumSetup, 'changed'> {
  readonly context: DecisionContext;
  /** What is committed, entry by entry. */
  readonly published: Published;
}

interface Pending {
  readonly command: Command;
  readonly deadlineMs: number;
  readonly resolve: (answer: never) => void;
  readonly reject: (cause: unknown) => void;
}

/**
 * Changes the metadata: takes commands, decides on them on the image of the leading voter, and answers when what they
 * come to is committed. One entry is under way at a time, with all commands that have come meanwhile, so that each is
 * decided on exactly what it will be applied to.
 */
export class Controller {
  readonly quorum: Quorum<MetadataMachine>;
  readonly #setup: ControllerSetup;
  readonly #published: PublishedImage;
  #queue: Pending[] = [];
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** Calls back once anything about the voters may have changed. */
  #waiting: (() => void)[] = [];

  constructor(setup: ControllerSetup) {
    this.#setup = setup;
    this.#published = new PublishedImage(setup.published);
    this.quorum = new Quorum<MetadataMachine>({ ...setup, changed: () => this.#wake() });
  }

  /** Everything that is known to be committed. */
  get image(): MetadataImage {
    return this.#published.image;
  }

  start(seat: Omit<Seat, 'machine'>): void {
    this.quorum.start({ ...seat, machine: new MetadataMachine(this.#published) });
  }

  /** Resolves when the change is committed and published. What is refused has changed nothing. */
  submit<Each extends Command>(command: Each, limitMs = CONTROL_TIMEOUT_MS): Promise<AnswerTo<Each>> {
    if (this.#isClosed) return Promise.reject(closedError());
    const deadlineMs = this.#setup.clock.nowMs() + limitMs;
    const answered = new Promise<AnswerTo<Each>>((resolve, reject) => {
      this.#queue.push({ command, deadlineMs, resolve, reject });
    });
    this.#running ??= this.#run();
    return answered;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    await this.#running;
    await this.quorum.close();
  }

  async #run(): Promise<void> {
    // Commands of the same turn go together.
    await null;
    while (this.#queue.length > 0) {
      const group = this.#queue.splice(0, COMMANDS_AN_ENTRY_MAX);
      try {
        await this.#perform(group);
      } catch (cause) {
        for (const { reject } of group) reject(cause);
      }
    }
    this.#running = undefined;
  }

  async #perform(group: readonly Pending[]): Promise<void> {
    const deadlineMs = Math.min(...group.map((pending) => pending.deadlineMs));
    for (;;) {
      const { voter, machine } = await this.#readyBy(deadlineMs);
      const commands = group.map(({ command }) => command);
      const { records, decisions } = decideAll(machine.image, commands, this.#setup.context);
      try {
        if (records.length > 0) {
          const data = encodeRecords(records);
          await this.quorum.within(deadlineMs, voter.propose(data));
        }
        group.forEach((pending, n) => void answer(pending, decisions[n]));
        return;
      } catch (error) {
        if (!(error instanceof ProposalError)) throw error;
        if (error.isUnknown) {
          group.forEach((pending, n) => void leave(pending, decisions[n]));
          return;
        }
      }
    }
  }

  /** The leader, once its image shows all that its log holds: only then the next entry is applied to that image. */
  async #readyBy(deadlineMs: number): Promise<{ voter: Voter; machine: MetadataMachine }> {
    for (;;) {
      if (this.#isClosed) throw closedError();
      const { leader } = this.quorum;
      if (leader !== undefined && isReady(leader.voter)) return leader;
      if (this.#setup.clock.nowMs() >= deadlineMs) throw this.#leaderless();
      await this.#change(deadlineMs);
    }
  }

  #change(deadlineMs: number): Promise<void> {
    return new Promise((resolve) => {
      const { clock } = this.#setup;
      const cancel = clock.schedule(Math.max(0, deadlineMs - clock.nowMs()), resolve);
      this.#waiting.push(() => {
        cancel();
        resolve();
      });
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #leaderless(): TidemarkError {
    const { running, voters } = this.quorum.census();
    const needed = Math.floor(voters / 2) + 1;
    const reason =
      running < needed
        ? `${running} of its ${voters} voters run, and it needs ${needed}; restart a broker that holds one`
        : 'its voters have not agreed on a leader in time';
    return new TidemarkError(
      'NOT_CONTROLLER',
      `Nothing was changed, because the metadata quorum has no leader: ${reason}. Then try again.`,
    );
  }
}

/** Whether all of its log is committed, in its own term, and applied. */
function isReady({ applied, node }: Voter): boolean {
  return applied === node.lastIndex && node.termAt(applied) === node.term;
}

function answer({ resolve, reject }: Pending, decision: Decision<unknown>): void {
  if (decision.refusal !== undefined) reject(decision.refusal);
  else resolve(decision.answer as never);
}

/** The outcome of its entry is not known; who had no part in that is answered. */
function leave(pending: Pending, decision: Decision<unknown>): void {
  if (decision.records.length === 0) {
    answer(pending, decision);
    return;
  }
  pending.reject(
    new TidemarkError(
      'REQUEST_TIMED_OUT',
      'The metadata quorum lost its leader, or did not answer in time, while the change was on its way: whether it was made is not known. Look at the status, and try again.',
    ),
  );
}

function closedError(): TidemarkError {
  return new TidemarkError('CLOSED', 'The cluster is closing.');
}
