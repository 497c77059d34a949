import type { AnswerTo, Command, Decided, DecisionContext } from '../core/metadata/commands.ts';
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
/** After a leader has refused an entry. */
const RETRY_MS = 5;
/** How long an end waits for an entry that is under way: a leader that has voters needs no more. */
const CLOSE_LIMIT_MS = 2_000;

export interface ControllerSetup extends Omit<QuorumSetup, 'changed'> {
  readonly context: DecisionContext;
  /** What is committed, entry by entry. */
  readonly published: Published;
}

interface Pending {
  readonly command: Command;
  readonly resolve: (answer: never) => void;
  readonly reject: (cause: unknown) => void;
  /** Its time is over: it has been answered, and may not be tried again. */
  isOver: boolean;
  cancel: () => void;
}

type Leader = NonNullable<Quorum<MetadataMachine>['leader']>;

/**
 * Changes the metadata: takes commands, decides on them on the image of the leading voter, and answers when what they
 * come to is committed. One entry is under way at a time, with all commands that have come meanwhile, so that each is
 * decided on exactly what it will be applied to. Each has a time of its own; an entry is waited for until its fate is
 * known, which the end of its leader's reign bounds, whoever still waits for an answer.
 */
export class Controller {
  readonly quorum: Quorum<MetadataMachine>;
  readonly #setup: ControllerSetup;
  readonly #published: PublishedImage;
  /** Nothing was done for them yet. */
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
    const answered = new Promise<AnswerTo<Each>>((resolve, reject) => {
      const pending: Pending = { command, resolve, reject, isOver: false, cancel: () => undefined };
      pending.cancel = this.#setup.clock.schedule(limitMs, () => this.#expire(pending));
      this.#queue.push(pending);
    });
    this.#running ??= this.#run();
    return answered;
  }

  /** What is not under way is refused; what is has its answer within seconds. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const pending of this.#queue.splice(0)) settle(pending, () => pending.reject(closedError()));
    this.#wake();
    if (this.#running !== undefined) await this.#within(CLOSE_LIMIT_MS, this.#running);
    try {
      await this.quorum.close();
    } finally {
      await this.#running;
    }
  }

  /** Its time is over. One that waits has changed nothing; of one that is under way nobody knows that. */
  #expire(pending: Pending): void {
    const isWaiting = this.#queue.includes(pending);
    this.#queue = this.#queue.filter((other) => other !== pending);
    settle(pending, () => pending.reject(isWaiting ? this.#unavailable() : unknownOutcome()));
    this.#wake();
  }

  async #run(): Promise<void> {
    // Commands of the same turn go together.
    await null;
    while (this.#queue.length > 0) {
      const { leader } = this.quorum;
      // Only where the image shows all that the log holds, the next entry is applied to that image.
      if (leader !== undefined && isReady(leader.voter)) await this.#perform(leader);
      else await this.#change();
    }
    this.#running = undefined;
  }

  async #perform({ voter, machine }: Leader): Promise<void> {
    const group = this.#queue.splice(0, COMMANDS_AN_ENTRY_MAX);
    const commands = group.map(({ command }) => command);
    const { records, decisions } = decideAll(machine.image, commands, this.#setup.context);
    try {
      if (records.length > 0) await voter.propose(encodeRecords(records), voter.node.lastIndex);
    } catch (error) {
      await this.#failed(group, decisions, error);
      return;
    }
    group.forEach((pending, n) => void answer(pending, decisions[n]));
  }

  async #failed(group: readonly Pending[], decisions: readonly Decided[], error: unknown): Promise<void> {
    if (!(error instanceof ProposalError)) {
      for (const pending of group) settle(pending, () => pending.reject(error));
      return;
    }
    if (error.isUnknown) {
      // What comes first was decided on what is committed, and the rest on what this group would have changed.
      const first = decisions.findIndex(({ records }) => records.length > 0);
      group.forEach((pending, n) => {
        if (n < first) answer(pending, decisions[n]);
        else settle(pending, () => pending.reject(unknownOutcome()));
      });
      return;
    }
    const again = group.filter(({ isOver }) => !isOver);
    if (!this.#isClosed) this.#queue.unshift(...again);
    else for (const pending of again) settle(pending, () => pending.reject(closedError()));
    // A while of time, and not until something changes: the refusal itself was a change.
    await this.#within(RETRY_MS, undefined);
  }

  /** Resolves once anything may be different. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Resolves when `done` does, or after the limit. */
  async #within(limitMs: number, done: Promise<void> | undefined): Promise<void> {
    let cancel = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      cancel = this.#setup.clock.schedule(limitMs, resolve);
    });
    await Promise.race(done === undefined ? [over] : [done, over]);
    cancel();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Why a command was not even begun. */
  #unavailable(): TidemarkError {
    const { running, voters } = this.quorum.census();
    const needed = Math.floor(voters / 2) + 1;
    let reason = 'the changes before it have not come through in time; try again later';
    if (running < needed)
      reason = `the metadata quorum has no leader: ${running} of its ${voters} voters run, and it needs ${needed}. Restart a broker that holds one, or heal() what is cut off, and try again`;
    else if (this.quorum.leader === undefined)
      reason =
        'the metadata quorum has no leader: its voters have not agreed on one in time. Try again, and if that does not help look whether their brokers hang';
    return new TidemarkError('NOT_CONTROLLER', `Nothing was changed, because ${reason}.`);
  }
}

/** Whether all of its log is committed, in its own term, and applied. */
function isReady({ applied, node }: Voter): boolean {
  return applied === node.lastIndex && node.termAt(applied) === node.term;
}

function settle(pending: Pending, tell: () => void): void {
  pending.isOver = true;
  pending.cancel();
  tell();
}

/** One whose time was over before keeps the answer that it had then. */
function answer(pending: Pending, decision: Decided): void {
  settle(pending, () => {
    if (decision.refusal !== undefined) pending.reject(decision.refusal);
    else pending.resolve(decision.answer as never);
  });
}

function unknownOutcome(): TidemarkError {
  return new TidemarkError(
    'REQUEST_TIMED_OUT',
    'The metadata quorum lost its leader, or did not answer in time, while the change was on its way: whether it was made is not known. Look at the status, and try again.',
  );
}

function closedError(): TidemarkError {
  return new TidemarkError('CLOSED', 'The cluster is closing.');
}
