import { LifecycleError } from '../errors.ts'
import { isKekId } from '../format/envelope-v2.ts'
import type { KekState } from './kek-state.ts'

/** What the keyring document knows of one KEK. Times are RFC 3339 UTC, `null` for what has not happened. */
export interface KekEntry {
  /** The fingerprint bound to the id when it was promoted: 16 hexadecimal digits. */
  readonly fingerprint: string
  /** How it wraps: four hexadecimal digits, `0001` or `0002`. */
  readonly suite: string
  readonly state: KekState
  /** When it last became current. */
  readonly promotedAt: string
  /** When and under which circumstances it left `current`; `null` while it is current. */
  readonly fence: KekFence | null
  readonly suspendedAt: string | null
  readonly retiredAt: string | null
  /** When somebody said that its bytes may be known to others. */
  readonly compromisedAt: string | null
  /** When an escrow of it was recorded. */
  readonly escrowedAt: string | null
}

/** When a KEK left `current`. */
export interface KekFence {
  readonly at: string
  /** The epoch that it left it with. */
  readonly epoch: number
  /** The store's incarnation then. */
  readonly incarnation: string
}

/** The shared state of a keyring domain. Its revision in the store guards every write. */
export interface KeyringDocument {
  readonly namespace: string
  /** Version of this document: one more with every change, also over a loss of the store's revisions. */
  readonly epoch: number
  /** The store's incarnation when this document was created, or when somebody last confirmed the store. */
  readonly incarnation: string
  readonly keks: Readonly<Record<string, KekEntry>>
}

/** The highest epoch that anybody is believed to know of: a document made above one is written again for each step up to it. */
export const MOST_EPOCH = 1_000_000

const FORMAT = 1
const STATES: readonly KekState[] = ['current', 'decrypt-only', 'suspended', 'retired']
const FINGERPRINT = /^[0-9a-f]{16}$/
const SUITE = /^[0-9a-f]{4}$/

/** The KEK that new values are wrapped under. */
export function currentKekId(document: KeyringDocument): string {
  for (const [id, entry] of Object.entries(document.keks)) if (entry.state === 'current') return id
  throw damaged('no KEK in it is current')
}

/** What the document says of one id; undefined for an id that was never promoted. */
export function kekEntry(document: KeyringDocument, kekId: string): KekEntry | undefined {
  return Object.hasOwn(document.keks, kekId) ? document.keks[kekId] : undefined
}

export function serialiseKeyringDocument(document: KeyringDocument): string {
  return JSON.stringify({ format: FORMAT, ...document })
}

/**
 * Reads the document, strictly: whoever can write to the store must not be able to confuse a reader.
 *
 * @throws LifecycleError `ERR_KEYRING_DOCUMENT` for a document of another format or a damaged one.
 */
export function parseKeyringDocument(text: string): KeyringDocument {
  const parsed = parseObject(text)
  if (parsed['format'] !== FORMAT) {
    throw damaged(`it has a format other than ${FORMAT}; a newer version of this package may have written it`)
  }
  const { namespace, epoch, incarnation, keks } = parsed
  if (typeof namespace !== 'string' || typeof incarnation !== 'string') throw damaged('a member is missing')
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 1)
    throw damaged('its epoch is no count')
  if (typeof keks !== 'object' || keks === null) throw damaged('a member is missing')
  const entries = Object.entries(keks).map(([id, entry]) => [id, parseEntry(id, entry)] as const)
  if (entries.filter(([, entry]) => entry.state === 'current').length !== 1) {
    throw damaged('not exactly one KEK in it is current')
  }
  return { namespace, epoch, incarnation, keks: Object.fromEntries(entries) }
}

function parseEntry(id: string, value: unknown): KekEntry {
  if (!isKekId(id) || typeof value !== 'object' || value === null) throw damaged('an entry is no KEK')
  const entry = value as Record<string, unknown>
  const { fingerprint, suite, state, promotedAt } = entry
  if (typeof fingerprint !== 'string' || !FINGERPRINT.test(fingerprint))
    throw damaged('a fingerprint is malformed')
  if (!isState(state)) throw damaged('a KEK is in a state this version does not know')
  if (typeof suite !== 'string' || !SUITE.test(suite)) throw damaged('a suite is malformed')
  if (typeof promotedAt !== 'string') throw damaged('an entry lacks a member')
  return {
    fingerprint,
    suite,
    state,
    promotedAt,
    fence: parseFence(entry['fence'], state),
    suspendedAt: parseTime(entry['suspendedAt']),
    retiredAt: parseTime(entry['retiredAt']),
    compromisedAt: parseTime(entry['compromisedAt']),
    escrowedAt: parseTime(entry['escrowedAt']),
  }
}

function isState(state: unknown): state is KekState {
  return (STATES as readonly unknown[]).includes(state)
}

function parseTime(value: unknown): string | null {
  if (value !== null && typeof value !== 'string') throw damaged('an entry lacks a member')
  return value
}

function parseFence(value: unknown, state: KekState): KekFence | null {
  if (value === null && state === 'current') return null
  if (typeof value !== 'object' || value === null || state === 'current')
    throw damaged('a fence is malformed')
  const { at, epoch, incarnation } = value as Record<string, unknown>
  if (typeof at !== 'string' || typeof incarnation !== 'string' || !Number.isSafeInteger(epoch)) {
    throw damaged('a fence is malformed')
  }
  return { at, epoch: epoch as number, incarnation }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Falls through: the parser's message would quote the text.
  }
  throw damaged('it is no JSON object')
}

function damaged(why: string): LifecycleError {
  return new LifecycleError(
    'ERR_KEYRING_DOCUMENT',
    `The keyring document cannot be read: ${why}. Nothing was changed. Restore the document "keyring" of this store ` +
      'from a backup, or run the version that wrote it.',
  )
}
