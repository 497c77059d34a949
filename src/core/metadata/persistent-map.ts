/** A key of its own for a run of changes: nodes that were made in the run may be changed in place. */
export type Owner = object;

const BITS = 5;
const MASK = 31;

class Leaf<K, V> {
  readonly hash: number;
  readonly key: K;
  readonly value: V;
  /** Others of the same hash. */
  readonly next: Leaf<K, V> | undefined;

  constructor(hash: number, key: K, value: V, next: Leaf<K, V> | undefined) {
    this.hash = hash;
    this.key = key;
    this.value = value;
    this.next = next;
  }
}

/** Up to 32 places by five bits of the hash; those that are taken lie together, in the order of the bits. */
class Branch<K, V> {
  bitmap: number;
  readonly nodes: Node<K, V>[];
  readonly owner: Owner | undefined;

  constructor(bitmap: number, nodes: Node<K, V>[], owner: Owner | undefined) {
    this.bitmap = bitmap;
    this.nodes = nodes;
    this.owner = owner;
  }
}

type Node<K, V> = Leaf<K, V> | Branch<K, V>;

/**
 * A map that never changes: set() and delete() give another one, which shares all but a path of nodes with this one.
 * Keys are strings or whole numbers. Whoever makes many changes in a row, and shows nobody what lies in between, hands
 * in the same owner each time; then nodes are copied once. Entries come in no order that means anything.
 */
export class PersistentMap<K extends string | number, V> {
  readonly size: number;
  readonly #root: Node<K, V> | undefined;

  private constructor(size: number, root: Node<K, V> | undefined) {
    this.size = size;
    this.#root = root;
  }

  static empty<K extends string | number, V>(): PersistentMap<K, V> {
    return new PersistentMap<K, V>(0, undefined);
  }

  get(key: K): V | undefined {
    return find(this.#root, key)?.value;
  }

  has(key: K): boolean {
    return find(this.#root, key) !== undefined;
  }

  set(key: K, value: V, owner?: Owner): PersistentMap<K, V> {
    const before = find(this.#root, key);
    if (before !== undefined && before.value === value) return this;
    const leaf = new Leaf(hashOf(key), key, value, undefined);
    const root = this.#root === undefined ? leaf : put(this.#root, 0, leaf, owner);
    return new PersistentMap(before === undefined ? this.size + 1 : this.size, root);
  }

  delete(key: K, owner?: Owner): PersistentMap<K, V> {
    if (this.#root === undefined || !this.has(key)) return this;
    return new PersistentMap(this.size - 1, take(this.#root, 0, hashOf(key), key, owner));
  }

  *[Symbol.iterator](): Generator<readonly [K, V], void> {
    for (const leaf of leavesOf(this.#root)) yield [leaf.key, leaf.value];
  }

  *keys(): Generator<K, void> {
    for (const leaf of leavesOf(this.#root)) yield leaf.key;
  }

  *values(): Generator<V, void> {
    for (const leaf of leavesOf(this.#root)) yield leaf.value;
  }
}

/** Numbers stand for themselves, since ours are dense; FNV-1a for names. */
function hashOf(key: string | number): number {
  if (typeof key === 'number') return key | 0;
  let hash = 0x811c9dc5;
  for (let n = 0; n < key.length; n++) hash = Math.imul(hash ^ key.charCodeAt(n), 0x01000193);
  return hash;
}

function bitOf(hash: number, shift: number): number {
  return 1 << ((hash >>> shift) & MASK);
}

function indexOf(bitmap: number, bit: number): number {
  return ones(bitmap & (bit - 1));
}

function ones(bits: number): number {
  let count = bits - ((bits >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function find<K extends string | number, V>(root: Node<K, V> | undefined, key: K): Leaf<K, V> | undefined {
  const hash = hashOf(key);
  let node = root;
  for (let shift = 0; node instanceof Branch; shift += BITS) {
    const bit = bitOf(hash, shift);
    node = (node.bitmap & bit) === 0 ? undefined : node.nodes[indexOf(node.bitmap, bit)];
  }
  let leaf = node;
  while (leaf !== undefined && leaf.key !== key) leaf = leaf.next;
  return leaf;
}

function put<K, V>(node: Node<K, V>, shift: number, leaf: Leaf<K, V>, owner: Owner | undefined): Node<K, V> {
  if (node instanceof Leaf) {
    if (node.hash !== leaf.hash) return fork(node, leaf, shift, owner);
    return new Leaf(leaf.hash, leaf.key, leaf.value, without(node, leaf.key));
  }
  const bit = bitOf(leaf.hash, shift);
  const index = indexOf(node.bitmap, bit);
  const branch = own(node, owner);
  if ((node.bitmap & bit) === 0) {
    branch.nodes.splice(index, 0, leaf);
    branch.bitmap |= bit;
  } else {
    branch.nodes[index] = put(branch.nodes[index], shift + BITS, leaf, owner);
  }
  return branch;
}

/** Two leaves of different hashes, as deep as the hashes agree. */
function fork<K, V>(
  one: Leaf<K, V>,
  other: Leaf<K, V>,
  shift: number,
  owner: Owner | undefined,
): Branch<K, V> {
  const oneBit = bitOf(one.hash, shift);
  const otherBit = bitOf(other.hash, shift);
  if (oneBit === otherBit) return new Branch(oneBit, [fork(one, other, shift + BITS, owner)], owner);
  // The sign is no part of the order of places.
  const isFirst = oneBit >>> 0 < otherBit >>> 0;
  return new Branch<K, V>(oneBit | otherBit, isFirst ? [one, other] : [other, one], owner);
}

/** What is left of a node; the key is there. A branch with one leaf gives way to the leaf. */
function take<K, V>(
  node: Node<K, V>,
  shift: number,
  hash: number,
  key: K,
  owner: Owner | undefined,
): Node<K, V> | undefined {
  if (node instanceof Leaf) return without(node, key);
  const bit = bitOf(hash, shift);
  const index = indexOf(node.bitmap, bit);
  const rest = take(node.nodes[index], shift + BITS, hash, key, owner);
  if (rest === undefined && node.nodes.length === 1) return undefined;
  const branch = own(node, owner);
  if (rest === undefined) {
    branch.nodes.splice(index, 1);
    branch.bitmap &= ~bit;
  } else {
    branch.nodes[index] = rest;
  }
  const [only] = branch.nodes;
  return branch.nodes.length === 1 && only instanceof Leaf ? only : branch;
}

function without<K, V>(leaf: Leaf<K, V>, key: K): Leaf<K, V> | undefined {
  if (leaf.key === key) return leaf.next;
  return leaf.next === undefined ? leaf : new Leaf(leaf.hash, leaf.key, leaf.value, without(leaf.next, key));
}

function own<K, V>(branch: Branch<K, V>, owner: Owner | undefined): Branch<K, V> {
  if (owner !== undefined && branch.owner === owner) return branch;
  return new Branch(branch.bitmap, [...branch.nodes], owner);
}

function* leavesOf<K, V>(node: Node<K, V> | undefined): Generator<Leaf<K, V>, void> {
  if (node instanceof Branch) {
    for (const each of node.nodes) yield* leavesOf(each);
    return;
  }
  for (let leaf = node; leaf !== undefined; leaf = leaf.next) yield leaf;
}
