import { RACK } from '../core/metadata/patterns.ts';
import { isPlainObject, requireOptions, show, TidemarkError } from '../errors.ts';

/** Racks by broker, or in the order of the brokers from 1 on. */
export type Racks = readonly string[] | { readonly [broker: number]: string };

export interface AddBrokerOptions {
  /** Where it stands: replicas of new topics are spread over racks. */
  readonly rack?: string;
}

export function checkRacks(given: unknown): ReadonlyMap<number, string> {
  if (given === undefined) return new Map();
  if (!Array.isArray(given) && !isPlainObject(given)) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `racks must be an array of names, one for each broker, or an object of them by broker, such as { 1: 'a', 2: 'b' }; got ${show(given)}.`,
    );
  }
  const named = Array.isArray(given)
    ? Array.from(given, (rack, n): [number, unknown] => [n + 1, rack])
    : Object.entries(given).map(([id, rack]): [number, unknown] => [checkKey(id), rack]);
  return new Map(named.map(([id, rack]) => [id, checkRack(`the rack of broker ${id}`, rack)]));
}

function checkKey(id: string): number {
  if (/^[1-9]\d{0,8}$/.test(id)) return Number(id);
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `racks takes names under the ids of brokers, such as { 1: 'a', 2: 'b' }; got the id ${show(id)}.`,
  );
}

export function checkAddition(options: AddBrokerOptions): string | undefined {
  requireOptions('addBroker options', options, ['rack']);
  return options.rack === undefined ? undefined : checkRack('rack', options.rack);
}

export function checkRack(what: string, rack: unknown): string {
  if (typeof rack === 'string' && RACK.test(rack)) return rack;
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `${what} must be a text of 1 to 255 characters; got ${show(rack)}.`,
  );
}
