import { SecretBytes } from '../crypto/secret-bytes.ts'
import { buildKeyring } from './build-keyring.ts'
import { checkKeyProvider, type KeyProvider } from './key-provider.ts'
import type { Keyring } from './keyring.ts'

/**
 * Where a process gets its KEKs from. Write your own for a secret manager: fetch, then let {@link
 * explicitKeys} check.
 */
export interface KeySource {
  /**
   * Loads all KEKs, each time anew.
   *
   * @param options - `signal` aborts the load.
   * @returns The keyring.
   * @throws KeyError `ERR_KEY_CONFIGURATION` with every fault found.
   */
  load(options?: { readonly signal?: AbortSignal }): Promise<Keyring>

  /**
   * Notices when `load()` may give something else than before. Optional: a vault of a source without it is told by
   * `vault.reload()`. Throws where it cannot watch; the vault then says so in `status().notices`.
   *
   * @param onChange - To be called after a change, once things are quiet: what is written in several steps is not to be
   * loaded half-way. May be called without a change, too. Loads what there is then; does not throw.
   * @returns The watch. It keeps no process alive.
   */
  watch?(onChange: () => void): {
    /** Ends the watch: nothing is called from here on. */
    close(): void
  }
}

const PLACE = { before: 'keks.', after: '' }

/** What {@link explicitKeys} is given. */
export interface ExplicitKeysOptions {
  /** The id of the KEK to wrap under. */
  readonly currentKekId: string
  /**
   * KEK id to 32 bytes, or to the key provider of a KEK that never leaves it. Not text: how a text is decoded is the
   * caller's decision.
   */
  readonly keks: Readonly<Record<string, Uint8Array | KeyProvider>>
  /** Ids that are never wrapped under, whatever the store says. @defaultValue none */
  readonly decryptOnlyKekIds?: readonly string[]
}

/**
 * Makes a key source of bytes that the program already holds, such as those of a secret manager's client, and of key
 * providers, in any mixture.
 *
 * @param options - Ids and keys. Bytes are copied; the caller may clear them afterwards.
 * @returns The key source. Faults of the keys are reported by `load()`, all at once.
 * @throws TypeError when a KEK is neither a `Uint8Array` nor a key provider, or an id is not text.
 */
export function explicitKeys(options: ExplicitKeysOptions): KeySource {
  const { currentKekId, decryptOnlyKekIds = [] } = options
  if (typeof currentKekId !== 'string') throw new TypeError('currentKekId must be text.')
  if (!Array.isArray(decryptOnlyKekIds) || decryptOnlyKekIds.some((id) => typeof id !== 'string')) {
    throw new TypeError('decryptOnlyKekIds must be an array of texts.')
  }
  const copies = Object.entries(options.keks).map(([id, kek]) => {
    if (kek instanceof Uint8Array) return { id, key: new SecretBytes(kek) }
    if (typeof kek !== 'object')
      throw new TypeError('Each KEK is a Uint8Array of 32 bytes or a key provider.')
    checkKeyProvider(kek)
    return { id, key: kek }
  })
  const ids = [...decryptOnlyKekIds]
  return {
    async load({ signal } = {}) {
      signal?.throwIfAborted()
      return buildKeyring({
        // Building clears what it is given, and the source may be loaded again.
        keks: copies.map(({ id, key }) => ({
          id,
          place: PLACE,
          value: key instanceof SecretBytes ? key.use((borrowed) => new SecretBytes(borrowed)) : key,
        })),
        currentKekId,
        decryptOnlyKekIds: ids,
        labels: { kek: 'keks.<id>', current: 'currentKekId', decryptOnly: 'decryptOnlyKekIds' },
      })
    },
  }
}
