import { IdSet } from '../../../src/core/metadata/id-set.ts';
import type { ImageFields, MetadataImage } from '../../../src/core/metadata/image.ts';
import { PersistentMap } from '../../../src/core/metadata/persistent-map.ts';

/** Whether two images say the same, however they came about. What they share is not looked at. */
export function isSameImage(one: MetadataImage, other: MetadataImage): boolean {
  if (one === other) return true;
  const names = Object.keys(one.fields) as (keyof ImageFields)[];
  return names.every((name) => isSameField(one.fields[name], other.fields[name]));
}

function isSameField(one: ImageFields[keyof ImageFields], other: ImageFields[keyof ImageFields]): boolean {
  if (!(one instanceof PersistentMap) || !(other instanceof PersistentMap)) return one === other;
  if (one.size !== other.size) return false;
  const values: PersistentMap<string | number, unknown> = other;
  for (const [key, value] of one as typeof values) {
    const twin = values.get(key);
    if (value !== twin && !isSameValue(value, twin)) return false;
  }
  return true;
}

/** Both have their properties in the same order, since one function has made both. */
function isSameValue(one: unknown, other: unknown): boolean {
  const plain = (value: unknown): unknown => (value instanceof IdSet ? [...value] : value);
  return JSON.stringify(plain(one)) === JSON.stringify(plain(other));
}
