/**
 * For what goes wrong in a function that was only told something: whoever told it goes on, and the fault surfaces as
 * one that nobody has caught.
 */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
