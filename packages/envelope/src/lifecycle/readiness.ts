import type { ErrorCode } from '../errors.ts'
import { kekIdOfWrap } from '../format/envelope-v2.ts'
import type { KeyringReader } from '../keyring/held-keyring.ts'
import type { CallOptions, Page, SecretHeader, SecretStore } from '../store/secret-store.ts'
import { currentKekId, type KeyringDocument, kekEntry } from './keyring-document.ts'

/** One thing that keeps an instance from being ready. */
export interface ReadinessReason {
  readonly code: ErrorCode
  /** What is wrong, which id, and what to do next. */
  readonly message: string
  readonly kekId: string | null
  /** The fingerprint that is needed: 16 hexadecimal digits. */
  readonly fingerprint: string | null
}

/** How an instance holds a KEK that the document knows. */
export type Holding = 'held' | 'missing' | 'other_bytes'

export function holding(keyring: KeyringReader, document: KeyringDocument, kekId: string): Holding {
  const kek = keyring.get(kekId)
  if (kek === undefined) return 'missing'
  const bound = kekEntry(document, kekId)
  if (bound === undefined) return 'held'
  return bound.fingerprint === kek.fingerprint && bound.suite === kek.suite ? 'held' : 'other_bytes'
}

/**
 * The fenced KEKs that this instance does not hold: whether they are required is a question to the store. Not asked for
 * retired ones: the gate has seen to it that they have no record.
 */
export function fencedAndNotHeld(keyring: KeyringReader, document: KeyringDocument): readonly string[] {
  return Object.entries(document.keks)
    .filter(([, { state }]) => state === 'decrypt-only' || state === 'suspended')
    .filter(([id]) => holding(keyring, document, id) !== 'held')
    .map(([id]) => id)
}

/**
 * The start-up check: required are the current KEK and every fenced one that still has a record.
 *
 * @param instance - What this instance holds, and which of it may wrap.
 * @param inUse - Which of the fenced KEKs that are not held still have a record.
 */
export function readinessReasons(
  { keyring, mayWrap }: { readonly keyring: KeyringReader; readonly mayWrap: (kekId: string) => boolean },
  document: KeyringDocument,
  inUse: ReadonlySet<string>,
): readonly ReadinessReason[] {
  const reasons: ReadinessReason[] = []
  const current = currentKekId(document)
  for (const [id, { fingerprint, state }] of Object.entries(document.keks)) {
    const isCurrent = state === 'current'
    const held = holding(keyring, document, id)
    if (held === 'held') {
      if (isCurrent && !mayWrap(id)) {
        const message = `KEK "${current}" is current, but this instance marks it decrypt-only and cannot write.`
        reasons.push({ code: 'ERR_KEK_NOT_ALLOWED', message, kekId: id, fingerprint })
      }
    } else if (isCurrent || inUse.has(id)) {
      reasons.push({
        code: held === 'missing' ? 'ERR_KEK_NOT_LOADED' : 'ERR_KEK_MISMATCH',
        message: describeNotHeld(
          id,
          fingerprint,
          held,
          isCurrent ? 'it is current' : 'secrets are still under it',
        ),
        kekId: id,
        fingerprint,
      })
    }
  }
  return reasons
}

/** Says which KEK is not held, with its bound fingerprint, why it is needed and what to do. */
export function describeNotHeld(
  kekId: string,
  fingerprint: string | null,
  held: 'missing' | 'other_bytes',
  why: string,
): string {
  const which = fingerprint === null ? `KEK "${kekId}"` : `KEK "${kekId}" (fingerprint ${fingerprint})`
  return held === 'missing'
    ? `${which} is not loaded, and ${why}. Add it back to the key source (TALOS_KEK_${kekId}) and restart.`
    : `${which} is loaded with other bytes, and ${why}. Give TALOS_KEK_${kekId} the bytes of that fingerprint and restart.`
}

/**
 * Finds which of some fenced KEKs still have a record. Reads headers that are not under the current KEK and stops at the
 * first of each: after a finished rotation there are none, in the middle of one they come at once.
 */
export async function kekIdsInUse(
  store: SecretStore,
  currentId: string,
  kekIds: readonly string[],
  options: CallOptions,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  const wanted = new Set(kekIds)
  let cursor: string | null = null
  while (wanted.size > found.size) {
    const page: Page<SecretHeader> = await store.scan({ cursor, limit: 500, exceptKekId: currentId }, options)
    for (const header of page.items) {
      const kekId = kekIdOfWrap(header.wrap)
      if (kekId !== null && wanted.has(kekId)) found.add(kekId)
    }
    if (page.next === null) break
    cursor = page.next
  }
  return found
}

/** Why writes are refused where records were found and no keyring document. */
export const STATE_LOST_MESSAGE =
  'The store holds secrets but no keyring document. Reads go on; writes are refused, because nothing tells which KEK is ' +
  'current. Restore the document "keyring" of this store from a backup.'
