import type { AnswerTo, Command, DecisionContext } from '../core/metadata/commands.ts';
import type { MetadataImage } from '../core/metadata/image.ts';
import type { MetadataRecord } from '../core/metadata/records.ts';
import { nextQuorumChange, type VoterCandidate } from '../core/quorum-shape.ts';
import { isUndecided, TidemarkError } from '../errors.ts';
import { DiskError, helpFor } from '../log/disk.ts';
import { QuorumStoreError } from '../log/quorum-store.ts';
import type { QuorumStatus } from '../types.ts';
import { Controller } from './controller.ts';
import type { DataDirectory } from './data-directory.ts';
import type { OpenedSeat } from './quorum-seats.ts';
import type { Clock } from './surroundings.ts';
import { pause, timeLimit } from './timers.ts';
import type { Sides } from './vitals.ts';

/** For how long a start waits for the voters to agree on a leader. */
const START_LIMIT_MS = 10_000;
/** Between two tries to give the quorum its shape, and how long one may take. */
const SHAPE_PAUSE_MS = 200;
const SHAPE_LIMIT_MS = 30_000;
/** How long a leading voter outlives its broker at most. */
const LAST_DECISION_LIMIT_MS = 1_000;
const RETIRE_AFTER_MS = 50;

export interface MetadataSetup {
  readonly clock: Clock;
  readonly random: () => number;
  readonly directory: DataDirectory;
  readonly context: DecisionContext;
  /** How many voters there are to be at most. */
  readonly voters: number | undefined;
  /** Which voters are cut off, by their brokers. */
  readonly sides: () => Pick<Sides, 'areLinked' | 'isWithCoordinator'>;
  /** What was written down, entry by entry, and the image that it was written down on. */
  readonly written: (records: readonly MetadataRecord[], before: MetadataImage) => void;
}

/** The metadata of a cluster: the log that its voters agree on, one of them for each broker's directory. */
export class Metadata {
  readonly #setup: MetadataSetup;
  readonly #controller: Controller;
  /** Seats that are open, by broker. */
  readonly #seats = new Map<number, OpenedSeat>();
  /** By broker: resolves when the files of its last voter are closed. */
  readonly #ending = new Map<number, Promise<void>>();
  /** Leading voters of brokers that have ended, which decide on that yet. */
  readonly #retiring = new Set<number>();
  readonly #notes: string[] = [];
  #shaping: Promise<void> | undefined;
  #isClosed = false;

  constructor(setup: MetadataSetup) {
    const { clock, random, directory, context, sides, written } = setup;
    this.#setup = setup;
    this.#controller = new Controller({
      clock,
      random,
      bootstrap: { voters: directory.founders },
      context,
      isLinked: (one, other) => sides().areLinked(one, other),
      isReachable: (id) => sides().isWithCoordinator(id),
      published: (_image, before, records) => written(records ?? [], before),
      failed: ({ id }, cause) => this.#voterFailed(id, cause),
    });
  }

  /** Everything that is known to be committed. */
  get image(): MetadataImage {
    return this.#controller.image;
  }

  get status(): QuorumStatus {
    const { quorum } = this.#controller;
    const leader = quorum.leader?.voter;
    const { voters } = quorum.configuration;
    const term =
      leader?.node.term ?? Math.max(0, ...quorum.members.map(({ id }) => quorum.voter(id)?.node.term ?? 0));
    return {
      leaderId: leader?.self.id,
      term,
      offset: this.image.offset,
      notes: this.#notes,
      voters: voters.map(({ id }) => id).sort((one, other) => one - other),
    };
  }

  /** Whether enough voters run to decide on anything. */
  get hasQuorum(): boolean {
    const { running, voters } = this.#controller.quorum.census();
    return running > voters / 2;
  }

  /** Opens the seats of all voters, and makes the cluster where it is new. Throws where too few of them can be used. */
  async start(): Promise<void> {
    const { directory } = this.#setup;
    const damages: string[] = [];
    const damaged: number[] = [];
    const { seats, lostSeats } = seatsIn(directory);
    for (const broker of seats) {
      try {
        await this.#open(broker);
      } catch (error) {
        if (!(error instanceof QuorumStoreError) || error.reason !== 'damaged') throw refused(error);
        damages.push(error.message);
        damaged.push(broker);
      }
    }
    // Those that are left are all that will come: there is nothing to wait for, and nothing was touched.
    if (!this.hasQuorum) throw refused(new Error([...damages, this.#tooFew()].join(' ')));
    // Others have what is missing there, and the directory comes back as another voter.
    for (const [n, broker] of damaged.entries()) {
      const aside = await directory.setSeatAside(broker);
      this.#notes.push(
        `${damages[n]} The files are in ${aside} now, and the voter of broker ${broker} begins anew.`,
      );
    }
    for (const broker of [...damaged, ...lostSeats]) await this.#open(broker);
    this.#controller.quorum.elect();
    await this.#create(directory.clusterId);
  }

  /** Resolves when the change is committed. What is refused has changed nothing. */
  submit<Each extends Command>(command: Each, limitMs?: number): Promise<AnswerTo<Each>> {
    return this.#controller.submit(command, limitMs);
  }

  /**
   * A dead broker is a dead voter, unless it is the only one: voters live in this thread, and without it nothing could be
   * decided about that death. Where it leads, and the others could decide without it, it does so first (`decided`): then
   * nobody who waits for another leader of a partition waits for the election of a leading voter too, or for this thread,
   * which has to bring votes to the device, while clients turn to the new leaders.
   */
  brokerEnded(broker: number, decided?: Promise<void>): void {
    for (const other of this.#retiring) this.#retire(other);
    if (this.isAlone(broker)) return;
    if (decided === undefined || !this.#isReplaceable(broker)) {
      this.#retire(broker);
      return;
    }
    this.#retiring.add(broker);
    const retire = (): void => {
      if (this.#retiring.has(broker)) this.#retire(broker);
    };
    const { clock } = this.#setup;
    timeLimit(clock, decided, LAST_DECISION_LIMIT_MS, () => new Error('slow'))
      .catch(() => undefined)
      .then(() => clock.schedule(RETIRE_AFTER_MS, retire));
  }

  /** Resolves when the files of its voter are closed. */
  async ended(broker: number): Promise<void> {
    if (this.#retiring.has(broker)) this.#retire(broker);
    await this.#ending.get(broker);
  }

  /** Its voter takes part again, with what it had persisted; one that is not needed has no say. */
  async brokerReturned(broker: number): Promise<void> {
    if (this.#retiring.has(broker)) this.#retire(broker);
    if (this.#seats.has(broker)) return;
    await this.#ending.get(broker);
    await this.#open(broker);
    this.elect();
  }

  /** Voters are there again whose voices others may have waited for. */
  elect(): void {
    this.#controller.quorum.elect();
  }

  /** Gives votes to brokers that should have one, and takes those of others, one at a time, in the background. */
  shape(brokers: () => readonly number[]): void {
    this.#shaping ??= this.#shape(brokers).finally(() => {
      this.#shaping = undefined;
    });
  }

  /** Takes the vote of a broker that is about to go for good. */
  async withdraw(broker: number, brokers: readonly number[]): Promise<void> {
    await this.#shaping;
    await this.#shape(() => brokers);
    this.#retire(broker);
  }

  /** All voters end, also where one of them could not write down how it did: then it rejects, with KAFKA_STORAGE_ERROR. */
  async close(): Promise<void> {
    this.#isClosed = true;
    try {
      await this.#controller.close();
    } catch (cause) {
      throw cause instanceof DiskError ? unwritten(cause) : cause;
    } finally {
      await this.#shaping?.catch(() => undefined);
    }
  }

  /** Whether no other broker has a vote. */
  isAlone(broker: number): boolean {
    const { voters = [] } = this.#controller.quorum.leader?.voter.node.configuration ?? {};
    return voters.length === 1 && voters[0].id === broker;
  }

  /** Whether it leads, and there are enough other voters. */
  #isReplaceable(broker: number): boolean {
    const { quorum } = this.#controller;
    const { running, voters } = quorum.census();
    return quorum.leader?.voter.self.id === broker && running - 1 > voters / 2;
  }

  #retire(broker: number): void {
    this.#retiring.delete(broker);
    if (this.#seats.delete(broker)) this.#ending.set(broker, this.#controller.quorum.kill(broker));
  }

  async #open(broker: number): Promise<void> {
    const seat = await this.#setup.directory.openSeat(broker);
    this.#seats.set(broker, seat);
    this.#controller.start(seat);
  }

  async #create(clusterId: string): Promise<void> {
    try {
      await this.submit({ type: 'create-cluster', clusterId }, START_LIMIT_MS);
    } catch (cause) {
      if (!isUndecided(cause)) throw cause;
      throw refused(new Error(`its voters have not agreed on a leader within ${START_LIMIT_MS} ms.`));
    }
  }

  #tooFew(): string {
    const { voters, absent } = this.#controller.quorum.census();
    return `Of its ${voters} voters those of the brokers ${absent.join(', ')} cannot be used, and more than half of them are needed; put back the broker directories that are missing, were replaced or are damaged.`;
  }

  async #shape(brokers: () => readonly number[]): Promise<void> {
    while (!this.#isClosed) {
      const candidates = brokers().map((id): VoterCandidate => {
        const seat = this.#seats.get(id);
        return { id, directoryId: seat?.member.directoryId ?? this.#voterOf(id), isUp: seat !== undefined };
      });
      const leader = this.#controller.quorum.leader?.voter;
      const { voters } = leader?.node.configuration ?? { voters: [] };
      const change =
        leader === undefined ? undefined : nextQuorumChange(voters, candidates, this.#setup.voters);
      if (leader !== undefined && change === undefined) return;
      try {
        if (change !== undefined) {
          await this.#controller.quorum.ask(SHAPE_LIMIT_MS, (voter) =>
            'add' in change ? voter.addVoter(change.add) : voter.removeVoter(change.remove),
          );
          continue;
        }
      } catch {
        // Whatever has come between is looked at anew.
      }
      await pause(this.#setup.clock, SHAPE_PAUSE_MS);
    }
  }

  /** The identity of a voter that does not run: the one in the configuration, so that it is not taken for lost. */
  #voterOf(broker: number): string {
    const { voters } = this.#controller.quorum.leader?.voter.node.configuration ?? { voters: [] };
    return voters.find(({ id }) => id === broker)?.directoryId ?? '';
  }

  #voterFailed(broker: number, cause: unknown): void {
    this.#seats.delete(broker);
    this.#notes.push(
      `The voter of broker ${broker} has ended, because its files could not be written: ${(cause as Error).message}`,
    );
  }
}

function seatsIn(directory: DataDirectory): Pick<DataDirectory, 'seats' | 'lostSeats'> {
  try {
    const { seats, lostSeats } = directory;
    return { seats, lostSeats };
  } catch (cause) {
    throw refused(cause);
  }
}

function refused(cause: unknown): TidemarkError {
  const sentence = (cause as Error).message.replace(/\.?$/, '.');
  const remedy = cause instanceof DiskError ? helpFor(cause) : 'Restore the directories from a copy';
  return new TidemarkError(
    'DATA_DIRECTORY_INVALID',
    `The metadata of the cluster cannot be used: ${sentence} Nothing was changed. ${remedy}, and start again.`,
    { cause },
  );
}

function unwritten(cause: DiskError): TidemarkError {
  return new TidemarkError(
    'KAFKA_STORAGE_ERROR',
    `The cluster has ended, but how its metadata stood could not be written down: ${cause.message}. Look at what has become of that directory; the next start checks what lies there.`,
    { cause },
  );
}
