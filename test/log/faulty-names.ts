// The names of the faulty disk: directories as the system sees them, as the device has them, and the changes in between.
import { Inode } from './faulty-inode.ts';

export class Directory {
  readonly entries = new Map<string, Entry>();
  /** What the device has. A change that is durable here may not be in another directory that it concerns. */
  readonly durable = new Map<string, Entry>();
}

export type Entry = Inode | Directory;

/** One name in one directory: what it means from now on, undefined where it is gone. */
export interface Edit {
  readonly directory: Directory;
  readonly name: string;
  readonly entry: Entry | undefined;
}

function apply({ name, entry }: Edit, entries: Map<string, Entry>): void {
  if (entry === undefined) entries.delete(name);
  else entries.set(name, entry);
}

/** A tree of directories whose changes reach the device when a directory is synced; until then they may be lost. */
export class Names {
  readonly root = new Directory();
  /** Changes that no sync has covered yet, in their order. The edits of one change are lost or kept together. */
  #pending: { readonly number: number; readonly edits: readonly Edit[] }[] = [];
  #changes = 0;

  change(...edits: Edit[]): void {
    for (const edit of edits) apply(edit, edit.directory.entries);
    this.#changes += 1;
    this.#pending.push({ number: this.#changes, edits });
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** What to do once the device has taken all that changed in a directory before this call. */
  captureDirectory(directory: Directory): () => void {
    const until = this.#changes;
    return () => {
      this.#pending = this.#pending
        .map(({ number, edits }) => {
          if (number > until) return { number, edits };
          for (const edit of edits) if (edit.directory === directory) apply(edit, directory.durable);
          return { number, edits: edits.filter((edit) => edit.directory !== directory) };
        })
        .filter(({ edits }) => edits.length > 0);
    };
  }

  find(names: readonly string[]): Entry | undefined {
    let entry: Entry | undefined = this.root;
    for (const name of names) {
      if (!(entry instanceof Directory)) return entry;
      entry = entry.entries.get(name);
    }
    return entry;
  }

  /** Every file with its path, in order. */
  files(directory = this.root, prefix = ''): [string, Inode][] {
    const found: [string, Inode][] = [];
    for (const [name, entry] of [...directory.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (entry instanceof Inode) found.push([prefix + name, entry]);
      else found.push(...this.files(entry, `${prefix}${name}/`));
    }
    return found;
  }

  /** What is left when only the first `kept` of the pending changes have reached the device. */
  crashed(kept: number, inodeAfter: (inode: Inode) => Inode): Names {
    const after = new Names();
    const pending = this.#pending.slice(0, kept).flatMap(({ edits }) => edits);
    const copied = new Map<Entry, Entry>([[this.root, after.root]]);
    const copy = (entry: Entry): Entry => {
      const known = copied.get(entry);
      if (known !== undefined) return known;
      const fresh = entry instanceof Inode ? inodeAfter(entry) : new Directory();
      copied.set(entry, fresh);
      if (entry instanceof Directory) fill(entry, fresh as Directory);
      return fresh;
    };
    const fill = (directory: Directory, fresh: Directory): void => {
      const entries = new Map(directory.durable);
      for (const edit of pending) if (edit.directory === directory) apply(edit, entries);
      for (const [name, entry] of entries) {
        fresh.entries.set(name, copy(entry));
        fresh.durable.set(name, copy(entry));
      }
    };
    fill(this.root, after.root);
    return after;
  }

  /** The same, with what is pending. `copies` gets every inode and its copy. */
  clone(copies: Map<Entry, Entry>): Names {
    const after = new Names();
    copies.set(this.root, after.root);
    const copy = (entry: Entry): Entry => {
      const known = copies.get(entry);
      if (known !== undefined) return known;
      const fresh = entry instanceof Inode ? entry.clone() : new Directory();
      copies.set(entry, fresh);
      if (entry instanceof Directory) fill(entry, fresh as Directory);
      return fresh;
    };
    const fill = (directory: Directory, fresh: Directory): void => {
      for (const [name, entry] of directory.entries) fresh.entries.set(name, copy(entry));
      for (const [name, entry] of directory.durable) fresh.durable.set(name, copy(entry));
    };
    fill(this.root, after.root);
    after.#changes = this.#changes;
    after.#pending = this.#pending.map(({ number, edits }) => ({
      number,
      edits: edits.map(({ directory, name, entry }) => ({
        directory: copy(directory) as Directory,
        name,
        entry: entry === undefined ? undefined : copy(entry),
      })),
    }));
    return after;
  }
}
