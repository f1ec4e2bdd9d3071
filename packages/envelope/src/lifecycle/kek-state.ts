/**
 * The states of a KEK in the keyring document. A provisioned KEK is in no document: instances report it.
 *
 * - `current`: new values are wrapped under it; exactly one.
 * - `decrypt-only`: fenced; it opens envelopes and can never be wrapped under again.
 */
export type KekState = 'current' | 'decrypt-only'

/** A legal change of one KEK's state; every other pair is refused. */
export interface KekTransition {
  readonly from: KekState | 'provisioned'
  readonly to: KekState
  readonly by: 'promote'
}

/** All legal transitions. Promotion moves two KEKs in one write of the document. */
export const KEK_TRANSITIONS: readonly KekTransition[] = [
  { from: 'provisioned', to: 'current', by: 'promote' },
  { from: 'current', to: 'decrypt-only', by: 'promote' },
]

/** Tells whether a KEK may go from one state to another. */
export function isLegalTransition(from: KekTransition['from'], to: KekState): boolean {
  return KEK_TRANSITIONS.some((transition) => transition.from === from && transition.to === to)
}
