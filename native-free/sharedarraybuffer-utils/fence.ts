// Fences for the broadcast ring, the one place where plain reads race with plain writes by design.
//
// Atomics operations order what surrounds them in one direction only: a store keeps earlier accesses before
// it, a load keeps later accesses after it. The ring needs the other two directions:
//
//   writer:  announce (Atomics.store)  then  plain writes    the announcement must be visible first
//   reader:  plain reads               then  Atomics.load    the announcement must be read last
//
// On x86 both hold as they stand: a processor's stores become visible in program order, and its loads are
// done in program order. On arm64 (and others as weak) a later plain access may overtake. There, Atomics.store
// compiles to a store-release (stlr) and Atomics.load to a load-acquire (ldar), which the architecture keeps
// in order among each other whatever they address. So an atomic load after the announcing store, or an
// atomic store before the confirming load, on any word at all, closes the gap: stlr; ldar; plain writes, and
// plain reads; stlr; ldar. The word is private to the thread, hence never contended.

const ARCHITECTURE_KEEPS_ORDER = process.arch === 'x64' || process.arch === 'ia32';

const word = new Int32Array(1);

/** Between an announcing Atomics.store and the plain writes it announces. */
export function fenceStoreBeforeWrites(): void {
  if (!ARCHITECTURE_KEEPS_ORDER) Atomics.load(word, 0);
}

/** Between plain reads and the Atomics.load that says whether they can be trusted. */
export function fenceReadsBeforeLoad(): void {
  if (!ARCHITECTURE_KEEPS_ORDER) Atomics.store(word, 0, 0);
}
