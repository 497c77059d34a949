import { forceRing } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { TidemarkError } from '../errors.ts';
import type { Arena } from './arena.ts';
import { channelsOf, type LinkAddresses } from './client-frames.ts';
import type { Member, Members } from './members.ts';
import type { ClusterSurroundings } from './surroundings.ts';

const BELL_BYTES = 128;

/** Where a client finds one broker, in one of its lives. */
export interface ClientEndpoint {
  readonly broker: number;
  readonly life: number;
  readonly rack: string | null;
  readonly addresses: LinkAddresses;
}

/** What a client thread is given when it attaches. */
export interface Attachment {
  readonly client: number;
  readonly bell: number;
  readonly workspace: number;
  readonly endpoints: readonly ClientEndpoint[];
}

interface Attached {
  readonly bell: number;
  readonly workspace: number;
  /** By broker. One that has ended keeps its memory until the client has let go of it. */
  readonly endpoints: Map<number, ClientEndpoint>;
  /** The thread it lives in, where that is another than this one. */
  threadId?: number;
}

/** Who is attached: client threads with their bells, and their links to the brokers. */
export class Attachments {
  readonly #arena: Arena;
  readonly #members: Members;
  readonly #sizes: ClusterSurroundings['sizes'];
  readonly #rackOf: (broker: number) => string | null;
  readonly #byClient = new Map<number, Attached>();
  #clients = 0;

  constructor(
    arena: Arena,
    members: Members,
    sizes: ClusterSurroundings['sizes'],
    rackOf: (broker: number) => string | null,
  ) {
    this.#arena = arena;
    this.#members = members;
    this.#sizes = sizes;
    this.#rackOf = rackOf;
  }

  /**
   * Gives a client thread its bell and a link to every broker that runs. One that hangs, or ends meanwhile, is waited for
   * until that is known; the client asks for a link to it when it hears that it is there again.
   */
  async attach(threadId?: number): Promise<Attachment> {
    const client = ++this.#clients;
    const bell = this.#arena.allocate(BELL_BYTES);
    const workspace = this.#arena.allocateWorkspace();
    const attached: Attached = { bell, workspace, endpoints: new Map() };
    if (threadId !== undefined) attached.threadId = threadId;
    this.#byClient.set(client, attached);
    const linked = this.#members.alive.map((member) =>
      this.#link(client, attached, member).catch((error) => {
        if (member.handle.isAlive) throw error;
      }),
    );
    try {
      const endpoints = (await Promise.all(linked)).filter((endpoint) => endpoint !== undefined);
      return { client, bell, workspace, endpoints };
    } catch (error) {
      await Promise.allSettled(linked);
      await this.detach(client);
      throw error;
    }
  }

  /** A link to a broker that has come, or come back. The client has let go of the one to its last life. */
  async link(client: number, broker: number): Promise<ClientEndpoint> {
    const attached = this.#byClient.get(client);
    const member = this.#members.find(broker);
    if (attached === undefined || member === undefined || !member.handle.isAlive)
      throw new TidemarkError('BROKER_FAILED', `Broker ${broker} is not running.`);
    const before = attached.endpoints.get(broker);
    if (before?.life === member.handle.life) return before;
    this.forget(client, broker);
    return this.#link(client, attached, member);
  }

  /** The client has let go of its link to a broker that has ended. */
  forget(client: number, broker: number): void {
    const attached = this.#byClient.get(client);
    const endpoint = attached?.endpoints.get(broker);
    if (endpoint === undefined || this.#members.find(broker)?.handle.life === endpoint.life) return;
    attached?.endpoints.delete(broker);
    this.#release(endpoint);
  }

  /** Clients of a thread that has ended without detaching. */
  threadEnded(threadId: number): void {
    for (const [client, attached] of this.#byClient) {
      if (attached.threadId !== threadId) continue;
      this.ringAll();
      this.#members.ringAll();
      // What a broker that fails meanwhile does not give back is lost with it.
      this.detach(client).catch(() => undefined);
    }
  }

  /** The client uses its regions no more. */
  async detach(client: number): Promise<void> {
    const attached = this.#byClient.get(client);
    if (attached === undefined) return;
    this.#byClient.delete(client);
    for (const endpoint of attached.endpoints.values()) await this.#unlink(client, endpoint);
    this.#arena.releaseWorkspace(attached.workspace);
    this.#arena.release(attached.bell, BELL_BYTES);
  }

  ringAll(): void {
    for (const { bell } of this.#byClient.values()) forceRing(this.#arena.int32, bell / 4);
  }

  async #link(client: number, attached: Attached, { handle, addresses }: Member): Promise<ClientEndpoint> {
    const endpoint = {
      broker: handle.id,
      life: handle.life,
      rack: this.#rackOf(handle.id),
      addresses: this.#allocate(attached.bell, addresses.bell),
    };
    attached.endpoints.set(handle.id, endpoint);
    await handle.request({ type: 'attach', client, addresses: endpoint.addresses });
    return endpoint;
  }

  async #unlink(client: number, endpoint: ClientEndpoint): Promise<void> {
    const member = this.#members.find(endpoint.broker);
    const handle = member?.handle.life === endpoint.life ? member.handle : undefined;
    if (handle === undefined || handle.hasEnded) {
      this.#release(endpoint);
      return;
    }
    // A broker that hangs may still write there, and gives it back when it wakes, or ends.
    const told = handle.request({ type: 'detach', client }, Number.POSITIVE_INFINITY).then(
      () => this.#release(endpoint),
      () => this.#release(endpoint),
    );
    if (handle.isAlive) await told;
  }

  #release({ addresses }: ClientEndpoint): void {
    this.#arena.release(addresses.link, channelsOf(addresses).end - addresses.link);
  }

  #allocate(clientBell: number, brokerBell: number): LinkAddresses {
    const shape = {
      link: 0,
      requestCapacity: this.#sizes.requestChannelBytes,
      responseCapacity: this.#sizes.responseChannelBytes,
    };
    const { end } = channelsOf({ ...shape, clientBell, brokerBell });
    return { ...shape, link: this.#arena.allocate(end), clientBell, brokerBell };
  }
}
