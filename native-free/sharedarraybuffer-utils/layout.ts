// Shared memory as a table: each field with its type, its offset and the one thread that writes it.
// Offsets are computed so that fields of different writers never share a cache line; what is pinned by hand
// is held to the same rules. Layouts are defined when a module loads, so a mistake shows at once.

import { POSITION_BYTES } from './position.ts';

/** The widest cache line in use: 64 bytes on x86 and most arm64 processors, 128 on Apple's. */
export const LINE_BYTES = 128;

export type FieldType = 'int32' | 'position';

export interface FieldSpec {
  field: string;
  type: FieldType;
  /** Who writes it. Fields of one writer share cache lines, those of different writers never do. */
  writer: string;
  /** On cache lines of its own, also apart from its writer's other fields: for what is read far more often. */
  alone?: boolean;
  /** Pins the field to this byte offset. */
  at?: number;
}

export interface PlacedField {
  field: string;
  type: FieldType;
  writer: string;
  byteOffset: number;
  bytes: number;
}

export interface LayoutOptions {
  /** Each writer's fields begin at a multiple of it, and the whole has a multiple as its size. Default
   * LINE_BYTES; a table of many rows that only one thread writes is well served by 64, the least. */
  alignBytes?: number;
}

export interface Layout<Name extends string = string> {
  name: string;
  /** Size of the whole, a multiple of alignBytes: instances may lie one after the other. */
  bytes: number;
  alignBytes: number;
  /** In the order of their offsets. */
  fields: readonly PlacedField[];
  /** Of each field, the index in an Int32Array that begins where the layout begins. */
  index: Readonly<Record<Name, number>>;
}

const SIZES: Readonly<Record<FieldType, number>> = { int32: 4, position: POSITION_BYTES };

/** Places the fields and checks the result. Throws on anything that would not work. */
export function defineLayout<const Specs extends readonly FieldSpec[]>(
  name: string,
  specs: Specs,
  options: LayoutOptions = {},
): Layout<Specs[number]['field']> {
  const alignBytes = options.alignBytes ?? LINE_BYTES;
  if (!Number.isInteger(alignBytes) || alignBytes < 64 || (alignBytes & (alignBytes - 1)) !== 0) {
    throw new RangeError(`${name}: alignBytes is a power of two of at least 64 bytes, not ${alignBytes}.`);
  }
  if (specs.length === 0) throw new RangeError(`${name}: a layout needs at least one field.`);
  const fields = place(name, specs, alignBytes);
  checkPlacement(name, fields, specs, alignBytes);
  const last = fields[fields.length - 1];
  const index: Record<string, number> = {};
  for (const placed of fields) index[placed.field] = placed.byteOffset / 4;
  return {
    name,
    bytes: roundUp(last.byteOffset + last.bytes, alignBytes),
    alignBytes,
    fields,
    index: index as Record<Specs[number]['field'], number>,
  };
}

/** The picture of a layout: a line for each field. */
export function describe(layout: Layout): string {
  const width = Math.max(...layout.fields.map((placed) => placed.field.length));
  const lines = [`${layout.name}, ${layout.bytes} bytes, in lines of ${layout.alignBytes}`];
  let line = -1;
  for (const placed of layout.fields) {
    const itsLine = Math.floor(placed.byteOffset / layout.alignBytes);
    if (itsLine !== line) lines.push('+'.padEnd(width + 32, '-'));
    line = itsLine;
    const offset = String(placed.byteOffset).padStart(6);
    lines.push(
      `|${offset}  ${placed.field.padEnd(width)}  ${placed.type.padEnd(8)}  writer: ${placed.writer}`,
    );
  }
  lines.push('+'.padEnd(width + 32, '-'));
  return lines.join('\n');
}

/** Pinned fields where they are pinned; after them the rest, writer by writer. */
function place(name: string, specs: readonly FieldSpec[], alignBytes: number): PlacedField[] {
  const fields: PlacedField[] = [];
  let end = 0;
  for (const spec of specs) {
    if (SIZES[spec.type] === undefined)
      throw new TypeError(`${name}: ${spec.field} has no such type: ${spec.type}.`);
    if (spec.at === undefined) continue;
    fields.push(placed(spec, spec.at));
    end = Math.max(end, spec.at + SIZES[spec.type]);
  }
  for (const group of groupsOf(specs)) {
    end = roundUp(end, alignBytes);
    for (const spec of group) {
      const byteOffset = roundUp(end, SIZES[spec.type]);
      fields.push(placed(spec, byteOffset));
      end = byteOffset + SIZES[spec.type];
    }
  }
  return fields.sort((one, other) => one.byteOffset - other.byteOffset);
}

/** The fields to be placed, those that may share cache lines together, in the order of first mention. */
function groupsOf(specs: readonly FieldSpec[]): Iterable<FieldSpec[]> {
  const groups = new Map<string, FieldSpec[]>();
  for (const spec of specs) {
    if (spec.at !== undefined) continue;
    const key = spec.alone === true ? `${spec.writer}\0${spec.field}` : spec.writer;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [spec]);
    else group.push(spec);
  }
  return groups.values();
}

function placed(spec: FieldSpec, byteOffset: number): PlacedField {
  return { field: spec.field, type: spec.type, writer: spec.writer, byteOffset, bytes: SIZES[spec.type] };
}

function checkPlacement(
  name: string,
  fields: readonly PlacedField[],
  specs: readonly FieldSpec[],
  alignBytes: number,
): void {
  const alone = new Set(specs.filter((spec) => spec.alone === true).map((spec) => spec.field));
  const names = new Set<string>();
  let before: PlacedField | undefined;
  for (const here of fields) {
    if (names.has(here.field)) throw new RangeError(`${name}: the field ${here.field} is there twice.`);
    names.add(here.field);
    if (!Number.isInteger(here.byteOffset) || here.byteOffset < 0 || here.byteOffset % here.bytes !== 0) {
      throw new RangeError(
        `${name}: ${here.field} at byte ${here.byteOffset} is not aligned to its ${here.bytes} bytes.`,
      );
    }
    if (before !== undefined) {
      const beforeEnd = before.byteOffset + before.bytes;
      if (here.byteOffset < beforeEnd) {
        throw new RangeError(`${name}: ${here.field} overlaps ${before.field}.`);
      }
      const apart = before.writer !== here.writer || alone.has(before.field) || alone.has(here.field);
      if (apart && Math.floor((beforeEnd - 1) / alignBytes) === Math.floor(here.byteOffset / alignBytes)) {
        throw new RangeError(
          `${name}: ${here.field} (${here.writer}) shares a cache line with ${before.field} (${before.writer}).`,
        );
      }
    }
    before = here;
  }
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
