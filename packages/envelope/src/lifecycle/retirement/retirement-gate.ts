import { LifecycleError } from '../../errors.ts'
import { timestamp } from '../../runtime.ts'
import type { CallOptions } from '../../store/secret-store.ts'
import { knownKek } from '../keyring-changes.ts'
import type { KeyringDocument } from '../keyring-document.ts'
import type { KeyringSnapshot } from '../keyring-state.ts'
import { STATE_LOST_MESSAGE } from '../readiness.ts'
import type { RetirementCertificate, RetirementReason } from './certificate.ts'
import { judge } from './clauses.ts'
import { type EvidenceClaims, type EvidenceSources, gatherEvidence } from './evidence.ts'

/** What the gate works with. */
export interface GateSurroundings extends EvidenceSources {
  readonly namespace: string
  readonly instanceId: string
}

/** A certificate with the keyring document it speaks of. */
export interface Checked {
  readonly certificate: RetirementCertificate
  readonly snapshot: KeyringSnapshot
}

/** How often the evidence is gathered anew because the keyring document has moved meanwhile. */
const ATTEMPTS = 5

/** Answers whether a KEK can be retired: rule S, all of it at one epoch. */
export class RetirementGate {
  readonly #with: GateSurroundings

  constructor(surroundings: GateSurroundings) {
    this.#with = surroundings
  }

  /**
   * Checks one KEK.
   *
   * @param next - Options for each store call.
   * @param examine - Sees each document before anything is counted for it; what it throws ends the check.
   * @throws LifecycleError `ERR_KEYRING_STATE_LOST`, `ERR_KEK_UNKNOWN`; `ERR_EPOCH_CHANGED` when the document does not stand
   * still.
   */
  async check(
    kekId: string,
    claims: EvidenceClaims,
    next: () => CallOptions,
    examine: (document: KeyringDocument) => void = () => {},
  ): Promise<Checked> {
    let snapshot = await this.#read(next)
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      examine(snapshot.document)
      const entry = knownKek(snapshot.document, kekId)
      const evidence = await gatherEvidence(this.#with, snapshot, { id: kekId, entry }, claims, next)
      const after = await this.#read(next)
      if (after.revision === snapshot.revision) {
        const nowMs = this.#with.runtime.now()
        const reasons = judge({ kekId, entry, evidence, nowMs })
        const { namespace, instanceId, runtime } = this.#with
        const { fingerprint, state: kekState } = entry
        const certificate: RetirementCertificate = {
          schema: 'talos.retirement-certificate.1',
          verdict: verdictOf(reasons),
          reasons,
          kekId,
          fingerprint,
          state: kekState,
          namespace,
          storeKind: evidence.S3.kind,
          incarnation: evidence.S8.incarnation,
          epoch: snapshot.document.epoch,
          instanceId,
          checkedAt: timestamp(runtime),
          evidence,
        }
        return { certificate, snapshot }
      }
      snapshot = after
    }
    throw new LifecycleError(
      'ERR_EPOCH_CHANGED',
      `The keyring document changed again and again while KEK "${kekId}" was looked at. Ask again. Nothing was changed.`,
      { retryable: true },
    )
  }

  async #read(next: () => CallOptions): Promise<KeyringSnapshot> {
    const snapshot = await this.#with.state.refresh(next())
    if (snapshot === null) throw new LifecycleError('ERR_KEYRING_STATE_LOST', STATE_LOST_MESSAGE)
    return snapshot
  }
}

function verdictOf(reasons: readonly RetirementReason[]): RetirementCertificate['verdict'] {
  if (reasons.some(({ weight }) => weight === 'blocks')) return 'NOT_SAFE'
  return reasons.length > 0 ? 'ADVISORY' : 'SAFE'
}
