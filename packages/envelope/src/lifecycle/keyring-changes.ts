import { LifecycleError } from '../errors.ts'
import { type KekState, type TransitionVerb, transition } from './kek-state.ts'
import { currentKekId, type KekEntry, type KeyringDocument, kekEntry } from './keyring-document.ts'

/** A KEK as it is bound to its id. */
export interface BoundKek {
  readonly id: string
  readonly fingerprint: string
  readonly suite: string
}

/** When and on which store a change is made. */
export interface ChangeMoment {
  /** RFC 3339 UTC. */
  readonly at: string
  /** The store's incarnation. */
  readonly incarnation: string
}

const NOTHING_HAPPENED = {
  fence: null,
  suspendedAt: null,
  retiredAt: null,
  compromisedAt: null,
  escrowedAt: null,
} as const

/** The first document of a keyring domain: one KEK, current. */
export function firstDocument(namespace: string, kek: BoundKek, moment: ChangeMoment): KeyringDocument {
  return {
    namespace,
    epoch: 1,
    incarnation: moment.incarnation,
    keks: { [kek.id]: newEntry(kek, moment.at) },
  }
}

/**
 * Checks that a verb may be applied to a KEK in its state.
 *
 * @throws LifecycleError `ERR_TRANSITION_REFUSED`.
 */
export function checkTransition(document: KeyringDocument, kekId: string, by: TransitionVerb): KekState {
  const next = transition(by, kekEntry(document, kekId)?.state ?? 'provisioned')
  if ('to' in next) return next.to
  const message = `KEK "${kekId}" cannot be changed by ${by}: ${next.refused}. Nothing was changed.`
  throw new LifecycleError('ERR_TRANSITION_REFUSED', message, { reasons: [next.refused] })
}

/**
 * The document after a promotion or reactivation: the KEK is current and the former one decrypt-only, in one change.
 *
 * @param by - `promote` for an id that was never current, `reactivate` for one that was.
 * @throws LifecycleError `ERR_TRANSITION_REFUSED`.
 */
export function madeCurrent(
  document: KeyringDocument,
  kek: BoundKek,
  by: 'promote' | 'reactivate',
  moment: ChangeMoment,
): KeyringDocument {
  const known = kekEntry(document, kek.id)
  checkTransition(document, kek.id, by)
  const formerId = currentKekId(document)
  const former = document.keks[formerId] as KekEntry
  const epoch = document.epoch + 1
  const entry = newEntry(kek, moment.at)
  return {
    ...document,
    epoch,
    keks: {
      ...document.keks,
      [formerId]: {
        ...former,
        state: 'decrypt-only',
        fence: { at: moment.at, epoch, incarnation: moment.incarnation },
      },
      [kek.id]: { ...entry, escrowedAt: known?.escrowedAt ?? null },
    },
  }
}

/**
 * The document after a change that moves one KEK and leaves the current one alone.
 *
 * @throws LifecycleError `ERR_KEK_UNKNOWN`, `ERR_TRANSITION_REFUSED`.
 */
export function moved(
  document: KeyringDocument,
  kekId: string,
  by: 'suspend' | 'resume' | 'retire',
  at: string,
): KeyringDocument {
  const entry = knownKek(document, kekId)
  const state = checkTransition(document, kekId, by)
  return withEntry(document, kekId, {
    ...entry,
    state,
    suspendedAt: by === 'suspend' ? at : by === 'resume' ? null : entry.suspendedAt,
    retiredAt: by === 'retire' ? at : entry.retiredAt,
  })
}

/** The document after something was noted about a KEK in whatever state it is. */
export function noted(
  document: KeyringDocument,
  kekId: string,
  note: Partial<Pick<KekEntry, 'compromisedAt' | 'escrowedAt'>>,
): KeyringDocument {
  return withEntry(document, kekId, { ...knownKek(document, kekId), ...note })
}

/**
 * The document after somebody has confirmed that the store, as it is now, is the one to go on with: every fence is made
 * anew, for this change itself moves the guard.
 *
 * @param highestEpoch - The highest epoch that anybody remembers.
 */
export function confirmed(
  document: KeyringDocument,
  highestEpoch: number,
  { at, incarnation }: ChangeMoment,
): KeyringDocument {
  const epoch = Math.max(document.epoch, highestEpoch) + 1
  const keks = Object.entries(document.keks).map(([id, entry]) => {
    const isFenced = entry.state === 'decrypt-only' || entry.state === 'suspended'
    return [id, isFenced ? { ...entry, fence: { at, epoch, incarnation } } : entry] as const
  })
  return { ...document, epoch, incarnation, keks: Object.fromEntries(keks) }
}

/**
 * A document made anew from what the records say.
 *
 * @param current - The KEK to be current.
 * @param others - The other KEKs that records are under: decrypt-only.
 * @param epoch - Higher than any that anybody remembers.
 */
export function adoptedDocument(
  namespace: string,
  {
    current,
    others,
    epoch,
  }: { readonly current: BoundKek; readonly others: readonly BoundKek[]; readonly epoch: number },
  { at, incarnation }: ChangeMoment,
): KeyringDocument {
  const fenced = others.map((kek) => {
    const entry: KekEntry = { ...newEntry(kek, at), state: 'decrypt-only', fence: { at, epoch, incarnation } }
    return [kek.id, entry] as const
  })
  return {
    namespace,
    epoch,
    incarnation,
    keks: { ...Object.fromEntries(fenced), [current.id]: newEntry(current, at) },
  }
}

/**
 * What the document says of a KEK that a command names.
 *
 * @throws LifecycleError `ERR_KEK_UNKNOWN`.
 */
export function knownKek(document: KeyringDocument, kekId: string): KekEntry {
  const entry = kekEntry(document, kekId)
  if (entry !== undefined) return entry
  throw new LifecycleError(
    'ERR_KEK_UNKNOWN',
    `The keyring document knows no KEK "${kekId}": it was never current, so no secret is under it. Nothing was changed. ` +
      `Known are: ${Object.keys(document.keks).sort().join(', ')}.`,
  )
}

function newEntry({ fingerprint, suite }: BoundKek, at: string): KekEntry {
  return { fingerprint, suite, state: 'current', promotedAt: at, ...NOTHING_HAPPENED }
}

function withEntry(document: KeyringDocument, kekId: string, entry: KekEntry): KeyringDocument {
  return { ...document, epoch: document.epoch + 1, keks: { ...document.keks, [kekId]: entry } }
}
