import type { KekResolver } from '../codec/unwrap.ts'
import { type DecryptError, KeyError, LifecycleError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import type { HeldKeyring } from '../keyring/held-keyring.ts'
import type { Kek } from '../keyring/kek.ts'
import type { KekState } from '../lifecycle/kek-state.ts'
import { currentKekId, kekEntry } from '../lifecycle/keyring-document.ts'
import type { KeyringSnapshot, KeyringState } from '../lifecycle/keyring-state.ts'
import { describeNotHeld, holding, STATE_LOST_MESSAGE } from '../lifecycle/readiness.ts'

/** Which KEK may be used for what: the process's keyring held against the keyring document. */
export class KeyAccess {
  readonly #keyring: HeldKeyring
  readonly #state: KeyringState
  /** Fingerprints of the keys given to `import`. */
  readonly #setApart = new Set<string>()
  readonly #emit: EventListener
  /** What was told of KEKs that should have no record left, by KEK id and epoch. */
  readonly #told = new Set<string>()

  constructor(keyring: HeldKeyring, state: KeyringState, emit: EventListener) {
    this.#keyring = keyring
    this.#state = state
    this.#emit = emit
  }

  /**
   * Finds the KEK to open with. Other bytes than the bound ones count as not held. A suspended KEK opens nothing; a retired one
   * does, where its bytes are back, for then its records are too.
   */
  readonly resolve: KekResolver<Kek> = (kekId) => {
    const document = this.#state.snapshot?.document
    const state = this.#stateOf(kekId)
    if (state === 'suspended' || state === 'retired') this.#tellUnexpected(kekId, state)
    if (state === 'suspended') return 'not_allowed'
    for (const keyring of this.#keyring.forOpening) {
      const kek = keyring.get(kekId)
      if (kek !== undefined && (document === undefined || holding(keyring, document, kekId) === 'held'))
        return kek
    }
    return null
  }

  /** The KEK to wrap under if it is held with the bound bytes and its key source allows that. */
  readonly forWrapping = (kekId: string): Kek | null => {
    const kek = this.resolve(kekId)
    return kek === null || kek === 'not_allowed' || !this.mayWrap(kekId) ? null : kek
  }

  /**
   * Whether a KEK of this instance may wrap: neither does its key source mark it decrypt-only, nor was a key of the same
   * bytes given to an import.
   */
  readonly mayWrap = (kekId: string): boolean => {
    const kek = this.#keyring.get(kekId)
    return kek !== undefined && !this.#keyring.isDecryptOnly(kekId) && !this.#setApart.has(kek.fingerprint)
  }

  /**
   * Lets KEKs with the bytes of import keys only unwrap, from now on and whatever their ids: a key that was used with GCM
   * must not be used with AES-KW too. Bytes of the current KEK are refused instead, so that an import never takes from a
   * running service what it writes with.
   *
   * @param fingerprints - Of the import keys.
   * @throws KeyError `ERR_KEK_NOT_ALLOWED` when the current KEK is one of them, and whatever {@link current} throws. Nothing
   * is remembered then.
   */
  setApart(fingerprints: readonly string[]): void {
    const { id: kekId, fingerprint } = this.current().kek
    if (fingerprints.includes(fingerprint)) {
      throw new KeyError(
        'ERR_KEK_NOT_ALLOWED',
        `A key given to import has the same bytes as the current KEK "${kekId}". Bytes that encrypted values directly must ` +
          'never wrap DEKs. Generate a new KEK, make it current, and import again. Nothing was opened or written.',
        { kekId },
      )
    }
    for (const each of fingerprints) this.#setApart.add(each)
  }

  /**
   * The current KEK, to wrap a new value under, with the revision that guards the write.
   *
   * @throws LifecycleError `ERR_KEYRING_STATE_LOST`.
   * @throws KeyError `ERR_KEK_NOT_LOADED`, `ERR_KEK_MISMATCH`, `ERR_KEK_NOT_ALLOWED`.
   */
  current(): { readonly kek: Kek; readonly snapshot: KeyringSnapshot } {
    const snapshot = this.#state.snapshot
    if (snapshot === null) throw new LifecycleError('ERR_KEYRING_STATE_LOST', STATE_LOST_MESSAGE)
    const kekId = currentKekId(snapshot.document)
    const kek = this.forWrapping(kekId)
    if (kek !== null) return { kek, snapshot }
    if (this.resolve(kekId) === null) throw this.#notHeld(kekId, 'it is current')
    if (!this.#keyring.isDecryptOnly(kekId)) {
      throw new KeyError(
        'ERR_KEK_NOT_ALLOWED',
        `KEK "${kekId}" has become current, but this instance was given its bytes for an import and cannot write. Promote ` +
          'a new KEK.',
        { kekId },
      )
    }
    throw new KeyError(
      'ERR_KEK_NOT_ALLOWED',
      `KEK "${kekId}" is current, but this instance marks it decrypt-only and cannot write. Take it off ` +
        'TALOS_DECRYPT_ONLY_KEK_IDS, or promote another KEK.',
      { kekId },
    )
  }

  /** Turns "does not open" into the error that says what to do, where a KEK is the reason. */
  explain(error: DecryptError): DecryptError | KeyError {
    if (error.kekId === null) return error
    if (error.reason === 'kek_unknown') return this.#notHeld(error.kekId, this.#whyNeeded(error.kekId), error)
    if (error.reason === 'kek_not_allowed' && this.#stateOf(error.kekId) === 'suspended') {
      return new KeyError(
        'ERR_KEK_NOT_ALLOWED',
        `KEK "${error.kekId}" is suspended, and this secret is under it. Resume it at once with vault.keks.resume(), then rotate ` +
          'before it is suspended again.',
        { kekId: error.kekId, cause: error },
      )
    }
    if (error.reason !== 'kek_mismatch') return error
    const held = this.#keyring.get(error.kekId)?.fingerprint
    return new KeyError(
      'ERR_KEK_MISMATCH',
      `The secret was wrapped under other bytes of KEK "${error.kekId}" than this instance holds (fingerprint ${held}), ` +
        'or its wrap text was altered. Give the key source the bytes it was written with.',
      { kekId: error.kekId, cause: error },
    )
  }

  #whyNeeded(kekId: string): string {
    return this.#stateOf(kekId) === 'retired'
      ? 'this secret is under it although it was retired: it has come back from a backup. Its escrow holds the bytes'
      : 'this secret is under it'
  }

  #stateOf(kekId: string): KekState | undefined {
    const document = this.#state.snapshot?.document
    return document === undefined ? undefined : kekEntry(document, kekId)?.state
  }

  #tellUnexpected(kekId: string, state: 'suspended' | 'retired'): void {
    const key = `${kekId} ${this.#state.snapshot?.document.epoch}`
    if (this.#told.has(key)) return
    this.#told.add(key)
    this.#emit({ type: 'unexpected_kek', kekId, state })
  }

  #notHeld(kekId: string, why: string, cause?: unknown): KeyError {
    const document = this.#state.snapshot?.document
    const bound = document === undefined ? undefined : kekEntry(document, kekId)?.fingerprint
    const held = this.#keyring.get(kekId) === undefined ? 'missing' : 'other_bytes'
    const code = held === 'missing' ? 'ERR_KEK_NOT_LOADED' : 'ERR_KEK_MISMATCH'
    const message = describeNotHeld(kekId, bound ?? null, held, why)
    return new KeyError(code, message, cause === undefined ? { kekId } : { kekId, cause })
  }
}
