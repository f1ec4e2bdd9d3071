import { LifecycleError, StoreError } from '../errors.ts'
import { type CallOptions, KEYRING_DOCUMENT, type SecretStore } from '../store/secret-store.ts'
import { type KeyringDocument, parseKeyringDocument, serialiseKeyringDocument } from './keyring-document.ts'

/** The keyring document as last read, with the revision that guards writes. */
export interface KeyringSnapshot {
  readonly document: KeyringDocument
  readonly revision: number
}

/** This instance's view of the keyring document. Views may be old: the guard finds out at the next write. */
export class KeyringState {
  readonly #store: SecretStore
  readonly #namespace: string
  #snapshot: KeyringSnapshot | null = null
  #highestEpoch = 0

  constructor(store: SecretStore, namespace: string) {
    this.#store = store
    this.#namespace = namespace
  }

  /** The last view; `null` when there was no document. */
  get snapshot(): KeyringSnapshot | null {
    return this.#snapshot
  }

  /** The highest epoch this process has seen; higher than the last view's after the store has gone back. */
  get highestEpoch(): number {
    return this.#highestEpoch
  }

  /** Reads the document again. */
  async refresh(options: CallOptions): Promise<KeyringSnapshot | null> {
    const stored = await this.#store.readDocument(KEYRING_DOCUMENT, options)
    if (stored === null) {
      this.#snapshot = null
      return null
    }
    const document = parseKeyringDocument(stored.value)
    if (document.namespace !== this.#namespace) {
      throw new LifecycleError(
        'ERR_NAMESPACE_MISMATCH',
        'This store holds the secrets of another namespace. Give each namespace a store of its own (for a SQL store, ' +
          'another table prefix), or open this one with the namespace it was created with.',
      )
    }
    // Always what was read, even if it is older: after a restore the past is the truth.
    return this.#keep({ document, revision: stored.revision })
  }

  /**
   * Writes the document if nobody changed it since `basis`; settled when it returns.
   *
   * @returns Whether the document now is `next`.
   */
  async replace(
    basis: KeyringSnapshot | null,
    next: KeyringDocument,
    options: CallOptions,
  ): Promise<boolean> {
    const text = serialiseKeyringDocument(next)
    const revision = await this.#store.writeDocument(KEYRING_DOCUMENT, basis?.revision ?? 0, text, options)
    if (revision === null) return false
    this.#keep({ document: next, revision })
    return true
  }

  /**
   * Writes the document again until its revision has reached its epoch. Revisions begin anew with a document that is made anew or
   * put back by hand, and no guard of an instance that ran before must fit once more: it is never above the epoch it goes with.
   *
   * @param next - Options for each store call.
   * @throws StoreError `ERR_STORE_OUTCOME_UNKNOWN` when it was interrupted. The document holds all the same.
   */
  async raiseRevision(next: () => CallOptions): Promise<void> {
    let snapshot = this.#snapshot
    try {
      while (snapshot !== null && snapshot.revision < snapshot.document.epoch) {
        const isMine = await this.replace(snapshot, snapshot.document, next())
        snapshot = isMine ? this.#snapshot : await this.refresh(next())
      }
    } catch (cause) {
      throw new StoreError(
        'ERR_STORE_OUTCOME_UNKNOWN',
        'The keyring document was changed, but its revision could not be raised to its epoch, so that guards from before might ' +
          'fit again. Run vault.confirmStore(), with a longer timeoutMs if it goes on like this.',
        { retryable: true, cause },
      )
    }
  }

  #keep(snapshot: KeyringSnapshot): KeyringSnapshot {
    this.#snapshot = snapshot
    this.#highestEpoch = Math.max(this.#highestEpoch, snapshot.document.epoch)
    return snapshot
  }
}
