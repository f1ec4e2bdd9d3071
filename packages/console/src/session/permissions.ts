import type { SessionInfo } from '../api/types.ts'

/** What a page offers to do, with the name the API has for it and the role that bearer tokens need. */
const OFFERS = {
  startRotation: 'rotate',
  pauseRotation: 'rotate',
  resumeRotation: 'rotate',
  cancelRotation: 'rotate',
  retryRotation: 'rotate',
  promoteKek: 'admin',
  suspendKek: 'admin',
  resumeKek: 'admin',
  checkRetirement: 'retire',
  retireKek: 'retire',
  putSecret: 'write',
  deleteSecret: 'write',
  listSecrets: 'read',
  listAudit: 'read',
} as const

export type Offer = keyof typeof OFFERS

/** What the caller may do. The server decides; this is only for what to show. */
export interface Permissions {
  readonly mayDo: (offer: Offer) => boolean
  /** Why not, as a sentence; `null` for what is allowed. */
  readonly refusal: (offer: Offer) => string | null
}

/**
 * @param info - What the server says the caller may do; `null` where it does not say.
 * @param refusedRoles - The roles that answers have asked for in vain.
 */
export function permissionsOf(info: SessionInfo | null, refusedRoles: ReadonlySet<string>): Permissions {
  const allowed = info === null ? null : new Set(info.operations)
  const mayDo = (offer: Offer): boolean =>
    !refusedRoles.has(OFFERS[offer]) && (allowed === null || allowed.has(offer))
  return {
    mayDo,
    refusal: (offer) => (mayDo(offer) ? null : `Your token does not have the role “${OFFERS[offer]}”.`),
  }
}
