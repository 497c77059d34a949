import { requireInteger, show, TidemarkError } from '../../errors.ts';
import { BROKERS_MAX, PRODUCER_ID_BLOCK } from '../../limits.ts';
import { electAtStart, type FoundReplica } from '../reopening.ts';
import type {
  AllocateProducerIds,
  AnswerTo,
  BrokerIntroduction,
  DecisionContext,
  FenceBroker,
  Outcome,
  RegisterBroker,
  RemoveBroker,
  ShutDownBroker,
  StartCluster,
  UnfenceBroker,
} from './commands.ts';
import { Electorate } from './election.ts';
import type { BrokerRegistration, MetadataImage, MetadataPartition } from './image.ts';
import { registeredBroker, registrationOf } from './lookups.ts';
import { BROKER_ID_MAX, RACK, UUID } from './patterns.ts';
import type { BrokerRecord, BrokerStateRecord, MetadataRecord } from './records.ts';
import { changeOf, type PartitionStanding, reassigned } from './standing.ts';
import { mayElectUnclean, minInSync } from './topic-config.ts';

export function registerBroker(
  image: MetadataImage,
  command: RegisterBroker,
  context: DecisionContext,
): Outcome<AnswerTo<RegisterBroker>> {
  checkIntroduction(command);
  const { broker: id, directoryId, rack } = command;
  const before = image.broker(id);
  if (before !== undefined && before.state !== 'fenced' && context.isAlive(id, before.epoch)) {
    throw new TidemarkError(
      'DUPLICATE_BROKER_REGISTRATION',
      `Broker ${id} is registered and alive; end it first, or give the new one another id.`,
    );
  }
  const twin = image.brokers().find((other) => other.id !== id && other.directoryId === directoryId);
  if (twin !== undefined) throw sharedDirectory(id, twin.id, directoryId);
  if (before === undefined) checkBrokerCount(image.brokers().length + 1);
  const epoch = image.fields.nextBrokerEpoch;
  const registration = { id, epoch, directoryId, rack, state: 'fenced' } as const;
  const electorate = new Electorate(image, context, registration);
  const records: (MetadataRecord | undefined)[] = [{ type: 'broker', ...registration }];
  for (const partition of image.partitionsOn(id)) {
    const found = withDirectory(partition, id, before?.directoryId, directoryId);
    const settled = electorate.settle({ ...partition, ...found.standing });
    const lost = [...found.lost, ...(settled.lost ?? [])];
    records.push(electorate.change(partition, { ...found.standing, ...settled, lost }));
  }
  return { records: present(records), answer: { epoch } };
}

export function startCluster(
  image: MetadataImage,
  command: StartCluster,
  { defaults }: DecisionContext,
): Outcome<AnswerTo<StartCluster>> {
  checkStart(command);
  for (const introduction of command.brokers) checkIntroduction(introduction);
  const introduced = [...command.brokers].sort((one, other) => one.broker - other.broker);
  checkIntroductions(image, introduced);
  const registrations = introduced.map(({ broker, directoryId, rack }, n): BrokerRecord => {
    const epoch = image.fields.nextBrokerEpoch + n;
    return { type: 'broker', id: broker, epoch, directoryId, rack, state: 'active' };
  });
  const epochs = new Map(registrations.map(({ id, epoch }) => [id, epoch]));
  const absent = image.brokers().filter(({ id, state }) => !epochs.has(id) && state !== 'fenced');
  const records: (MetadataRecord | undefined)[] = [...registrations, ...absent.map(fenced)];
  const leaderless: number[] = [];
  for (const partition of image.partitions()) {
    const found = command.found.get(partition.id) ?? [];
    const isAllowed = mayElectUnclean(image, partition, defaults);
    const elected = standingAtStart(image, partition, introduced, found, isAllowed);
    const { leader } = elected;
    if (leader === -1) leaderless.push(partition.id);
    const least = minInSync(image, partition, defaults);
    // A leader that goes stays for the time being: who can take over is known once all have begun.
    const standing = reassigned(partition, elected, () => false);
    // Whose log is not there is among those who have lost theirs.
    records.push(changeOf(partition, standing, least, () => true, leader !== -1));
  }
  return { records: present(records), answer: { epochs, leaderless } };
}

export function fenceBroker(
  image: MetadataImage,
  { broker, epoch }: FenceBroker,
  context: DecisionContext,
): Outcome<undefined> {
  const before = registrationOf(image, broker, epoch);
  const after = { ...before, state: 'fenced' } as const;
  return {
    records: present([
      before.state === 'fenced' ? undefined : fenced(before),
      ...settleAll(image.partitionsOn(broker), new Electorate(image, context, after)),
    ]),
    answer: undefined,
  };
}

export function unfenceBroker(
  image: MetadataImage,
  { broker, epoch }: UnfenceBroker,
  context: DecisionContext,
): Outcome<AnswerTo<UnfenceBroker>> {
  const before = registrationOf(image, broker, epoch);
  if (before.state === 'shutting-down') return { records: [], answer: { state: before.state } };
  const after = { ...before, state: 'active' } as const;
  const electorate = new Electorate(image, context, after);
  const changes = image.partitionsOn(broker).map((partition) => {
    // What it could not open it gets from the leader: until then it is not eligible.
    const standing = partition.leader === -1 ? electorate.settle(partition) : {};
    return electorate.change(partition, standing);
  });
  return {
    records: present([before.state === 'active' ? undefined : stateRecord(after), ...changes]),
    answer: { state: after.state },
  };
}

export function shutDownBroker(
  image: MetadataImage,
  { broker, epoch }: ShutDownBroker,
  context: DecisionContext,
): Outcome<AnswerTo<ShutDownBroker>> {
  const before = registrationOf(image, broker, epoch);
  if (before.state === 'fenced') return { records: [], answer: { isDone: true, waitsFor: [] } };
  const after = { ...before, state: 'shutting-down' } as const;
  const electorate = new Electorate(image, context, after);
  const partitions = image.partitionsOn(broker);
  const waitsFor: number[] = [];
  for (const partition of partitions) {
    if (electorate.elect(partition) !== broker) continue;
    if (partition.replicas.some((id) => electorate.canLead(id, partition))) waitsFor.push(partition.id);
  }
  return {
    records: present([
      before.state === 'shutting-down' ? undefined : stateRecord(after),
      ...settleAll(partitions, electorate),
    ]),
    answer: { isDone: waitsFor.length === 0, waitsFor },
  };
}

export function removeBroker(image: MetadataImage, { broker }: RemoveBroker): Outcome<undefined> {
  const { epoch } = registeredBroker(image, broker);
  const { size = 0 } = image.fields.held.get(broker) ?? {};
  if (size > 0) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Broker ${broker} still has replicas of ${size} partitions; move them to other brokers or delete their topics, and then remove it.`,
    );
  }
  return {
    records: [{ type: 'broker-removed', id: broker, epoch }],
    answer: undefined,
  };
}

export function allocateProducerIds(
  image: MetadataImage,
  { broker, epoch }: AllocateProducerIds,
): Outcome<AnswerTo<AllocateProducerIds>> {
  registrationOf(image, broker, epoch);
  const block = { first: image.fields.nextProducerId, count: PRODUCER_ID_BLOCK };
  return { records: [{ type: 'producer-ids', broker, brokerEpoch: epoch, ...block }], answer: block };
}

interface WithDirectory {
  readonly standing: Pick<MetadataPartition, 'isr' | 'lostDirectory'>;
  /** Who has nothing of what it had. */
  readonly lost: readonly number[];
}

/**
 * A broker that comes with another directory than before has nothing of what it had. The last member of the ISR stays
 * one all the same: what was acknowledged is in its old directory, and hardly in another.
 */
function withDirectory(
  { isr, lostDirectory }: MetadataPartition,
  broker: number,
  before: string | undefined,
  now: string,
): WithDirectory {
  const isOther = before !== undefined && before !== now;
  const lost = isOther ? [broker] : [];
  if (!isr.includes(broker)) return { standing: { isr, lostDirectory }, lost };
  if (lostDirectory !== null)
    return { standing: { isr, lostDirectory: lostDirectory === now ? null : lostDirectory }, lost: [] };
  if (!isOther) return { standing: { isr, lostDirectory }, lost };
  if (isr.length === 1) return { standing: { isr, lostDirectory: before }, lost: [] };
  return { standing: { isr: isr.filter((id) => id !== broker), lostDirectory }, lost };
}

interface StandingAtStart extends PartitionStanding {
  readonly leader: number;
}

/** Who leads a partition after a start, out of what was found of its logs. */
function standingAtStart(
  image: MetadataImage,
  partition: MetadataPartition,
  introduced: readonly BrokerIntroduction[],
  found: readonly FoundReplica[],
  isUncleanAllowed: boolean,
): StandingAtStart {
  let before = partition;
  const lost: number[] = [];
  for (const { broker, directoryId } of introduced) {
    if (!partition.replicas.includes(broker)) continue;
    const comes = withDirectory(before, broker, image.broker(broker)?.directoryId, directoryId);
    before = { ...before, ...comes.standing };
    lost.push(...comes.lost);
  }
  const { leader, isr, lostDirectory } = before;
  const eligible = partition.eligible.filter((id) => !lost.includes(id));
  const opened = found.filter(({ broker }) => introduced.some((other) => other.broker === broker));
  const members = lostDirectory === null ? opened : opened.filter(({ broker }) => !isr.includes(broker));
  // Who runs without its log gets another one from the leader.
  const closed = introduced
    .map(({ broker }) => broker)
    .filter((id) => !opened.some((other) => other.broker === id));
  const usual = electAtStart({ leader, isr }, members);
  if (usual.leader !== -1) {
    const behind = isr.filter((id) => !usual.isr.includes(id) && !closed.includes(id));
    return { ...usual, lostDirectory, lost: [...lost, ...closed, ...behind] };
  }
  const other = electAtStart({ leader, isr: eligible }, members);
  const gone = lostDirectory === null ? [...lost, ...closed] : [...lost, ...closed, ...isr];
  const behind = eligible.filter((id) => !other.isr.includes(id));
  if (other.leader !== -1)
    return { leader: other.leader, isr: [other.leader], lostDirectory: null, lost: [...gone, ...behind] };
  const last = isUncleanAllowed ? electAtStart({ leader, isr: partition.replicas }, opened) : usual;
  if (last.leader === -1) return { leader: -1, isr, lostDirectory, lost };
  return { leader: last.leader, isr: [last.leader], lostDirectory: null, lost: partition.replicas };
}

function* settleAll(
  partitions: readonly MetadataPartition[],
  electorate: Electorate,
): Generator<MetadataRecord | undefined, void> {
  for (const partition of partitions) yield electorate.change(partition, electorate.settle(partition));
}

function fenced({ id, epoch }: BrokerRegistration): BrokerStateRecord {
  return { type: 'broker-state', id, epoch, state: 'fenced' };
}

function stateRecord({ id, epoch, state }: BrokerRegistration): BrokerStateRecord {
  return { type: 'broker-state', id, epoch, state };
}

function present(records: readonly (MetadataRecord | undefined)[]): MetadataRecord[] {
  return records.filter((record) => record !== undefined);
}

function checkStart({ brokers, found }: { readonly brokers: unknown; readonly found: unknown }): void {
  if (Array.isArray(brokers) && found instanceof Map) return;
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `A cluster starts with a list of brokers and a map of the replicas that were found; got ${show(brokers)} and ${show(found)}.`,
  );
}

function checkIntroductions(image: MetadataImage, introduced: readonly BrokerIntroduction[]): void {
  const byDirectory = new Map<string, number>();
  const ids = new Set(introduced.map(({ broker }) => broker));
  if (ids.size === 0)
    throw new TidemarkError('INVALID_ARGUMENT', 'A cluster starts with one broker at least.');
  if (ids.size !== introduced.length) {
    throw new TidemarkError(
      'DUPLICATE_BROKER_REGISTRATION',
      'Every broker of a cluster needs an id of its own.',
    );
  }
  const absent = image.brokers().filter(({ id }) => !ids.has(id));
  for (const { id, directoryId } of absent) byDirectory.set(directoryId, id);
  for (const { broker, directoryId } of introduced) {
    const twin = byDirectory.get(directoryId);
    if (twin !== undefined) throw sharedDirectory(broker, twin, directoryId);
    byDirectory.set(directoryId, broker);
  }
  checkBrokerCount(ids.size + absent.length);
}

function checkIntroduction(introduction: BrokerIntroduction | null | undefined): void {
  const { broker, directoryId, rack = null } = introduction ?? {};
  requireInteger('the id of a broker', broker, 1, BROKER_ID_MAX);
  if (typeof directoryId !== 'string' || !UUID.test(directoryId)) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `The directory id of broker ${broker} must be a uuid of 22 characters; got ${show(directoryId)}.`,
    );
  }
  if (rack !== null && (typeof rack !== 'string' || !RACK.test(rack))) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `The rack of broker ${broker} must be a text of 1 to 255 characters, or null; got ${show(rack)}.`,
    );
  }
}

function checkBrokerCount(count: number): void {
  if (count <= BROKERS_MAX) return;
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `A cluster has at most ${BROKERS_MAX} brokers; remove one that is gone for good.`,
  );
}

function sharedDirectory(broker: number, owner: number, directoryId: string): TidemarkError {
  return new TidemarkError(
    'DUPLICATE_BROKER_REGISTRATION',
    `Broker ${broker} comes with the directory ${directoryId}, which is that of broker ${owner}; a directory belongs to one broker, also if it was copied.`,
  );
}
