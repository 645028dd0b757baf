/** @file The keys that clients must send, each with a name for the log. They can be replaced while the server runs. */
import { createHash, timingSafeEqual } from "node:crypto";

/** A key and whose it is. */
export interface ApiKey {
  readonly name: string;
  readonly key: string;
  /** Its own limit, where it is not everybody's. */
  readonly requestsPerMinute?: number;
}

/** Who sent a request. */
export type KeyOwner = Omit<ApiKey, "key">;

/** The keys that are valid now. */
export class ApiKeys {
  #keys: readonly { readonly owner: KeyOwner; readonly digest: Uint8Array }[] = [];

  constructor(keys: readonly ApiKey[] = []) {
    this.replace(keys);
  }

  /** Whether any key is asked for at all. */
  get areAskedFor(): boolean {
    return this.#keys.length > 0;
  }

  /** From now on these are valid, and no others. */
  replace(keys: readonly ApiKey[]): void {
    this.#keys = keys.map(({ key, ...owner }) => ({ owner, digest: digestOf(key) }));
  }

  /** Whose key it is, in a time that depends neither on the key nor on how much of it is right. */
  ownerOf(key: string): KeyOwner | null {
    const digest = digestOf(key);
    let found: KeyOwner | null = null;
    for (const { owner, digest: valid } of this.#keys) {
      if (timingSafeEqual(digest, valid)) found = owner;
    }
    return found;
  }
}

/** Of equal length for all keys. */
function digestOf(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}
