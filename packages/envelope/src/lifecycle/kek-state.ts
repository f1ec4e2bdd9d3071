/**
 * The states of a KEK in the keyring document. A provisioned KEK is in no document: instances report it.
 *
 * - `current`: new values are wrapped under it; exactly one.
 * - `decrypt-only`: fenced; it opens envelopes and is not wrapped under.
 * - `suspended`: it opens nothing, and whoever tries is told so; undone at once by `resume`.
 * - `retired`: a tombstone with its fingerprint. The id is never used again.
 */
export type KekState = 'current' | 'decrypt-only' | 'suspended' | 'retired'

/** The verbs that change a KEK's state. */
export type TransitionVerb = 'promote' | 'suspend' | 'resume' | 'retire' | 'reactivate'

/** A legal change of one KEK's state; every other pair is refused. */
export interface KekTransition {
  readonly from: KekState | 'provisioned'
  readonly to: KekState
  readonly by: TransitionVerb
}

/** All legal transitions. `promote` and `reactivate` move two KEKs in one write of the document. */
export const KEK_TRANSITIONS: readonly KekTransition[] = [
  { from: 'provisioned', to: 'current', by: 'promote' },
  { from: 'current', to: 'decrypt-only', by: 'promote' },
  { from: 'decrypt-only', to: 'current', by: 'reactivate' },
  { from: 'current', to: 'decrypt-only', by: 'reactivate' },
  { from: 'decrypt-only', to: 'suspended', by: 'suspend' },
  { from: 'suspended', to: 'decrypt-only', by: 'resume' },
  { from: 'decrypt-only', to: 'retired', by: 'retire' },
  { from: 'suspended', to: 'retired', by: 'retire' },
]

/** What a verb makes of the KEK it is asked for. */
const GOAL: Readonly<Record<TransitionVerb, KekState>> = {
  promote: 'current',
  suspend: 'suspended',
  resume: 'decrypt-only',
  retire: 'retired',
  reactivate: 'current',
}

/** Why a verb cannot be applied to a KEK in a state, with what to do instead. */
const REFUSALS: Readonly<Record<KekState | 'provisioned', string>> = {
  provisioned:
    'it was never current: no secret can be under it. Promote it, or take it out of the key sources',
  current: 'it is current: new values are wrapped under it. Promote another KEK first',
  'decrypt-only': 'it is decrypt-only. Use reactivate to make it current once more, or suspend before resume',
  suspended: 'it is suspended. Resume it first',
  retired: 'it is retired: the id is never used again. Generate a new KEK under a new id',
}

/**
 * Tells what a verb makes of a KEK in a state.
 *
 * @returns The new state, or why not, in words.
 */
export function transition(
  by: TransitionVerb,
  from: KekState | 'provisioned',
): { readonly to: KekState } | { readonly refused: string } {
  const to = GOAL[by]
  const isLegal = KEK_TRANSITIONS.some((each) => each.by === by && each.from === from && each.to === to)
  return isLegal ? { to } : { refused: REFUSALS[from] }
}
