import { type Runtime, timestamp } from '../../runtime.ts'
import type { CallOptions, SecretStore } from '../../store/secret-store.ts'
import type { Fleet } from '../fleet.ts'
import { agreement } from '../fleet-agreement.ts'
import { currentKekId, type KekEntry, type KeyringDocument } from '../keyring-document.ts'
import type { KeyringSnapshot, KeyringState } from '../keyring-state.ts'
import type { RetirementEvidence, SourceEvidence } from './certificate.ts'
import type { DeclaredSource } from './declared-source.ts'

/** What evidence is gathered from. */
export interface EvidenceSources {
  readonly store: SecretStore
  readonly state: KeyringState
  readonly fleet: Fleet
  readonly runtime: Runtime
  readonly declared: readonly DeclaredSource[]
  /** The newest rotation. */
  readonly newestOperation: (options: CallOptions) => Promise<RetirementEvidence['S5']['operation']>
}

/** What the caller adds to the evidence. */
export interface EvidenceClaims {
  /** An epoch that the operator knows of, for instance from the last certificate. */
  readonly minEpoch?: number
  readonly acceptLossOfBackups?: string
}

const NONE_DECLARED =
  'None declared: the owner states that envelopes of this keyring domain are kept nowhere but in this store.'
const SOME_DECLARED =
  'The owner states that envelopes are kept in this store and in the declared sources only.'

/**
 * Gathers the evidence for retiring one KEK. The keyring document was read before: what is counted here is counted after the
 * fence has settled.
 *
 * @param snapshot - The keyring document, freshly read.
 */
export async function gatherEvidence(
  sources: EvidenceSources,
  { document, revision }: KeyringSnapshot,
  kek: { readonly id: string; readonly entry: KekEntry },
  claims: EvidenceClaims,
  next: () => CallOptions,
): Promise<RetirementEvidence> {
  const { store, state, fleet, runtime, declared } = sources
  const begunAt = timestamp(runtime)
  const census = await store.census(next())
  const { kind, level, reasons, incarnation } = await store.identify(next())
  const sightings = await fleet.all(next())
  const newest = await sources.newestOperation(next())
  const current = currentKekId(document)
  const needed = new Set([current, ...[...census].filter(([, count]) => count > 0).map(([id]) => id)])
  const epochs = sightings.map(({ report, state }) => (state === 'live' ? report.epochSeen : 0))
  return {
    S1: { records: census.get(kek.id) ?? 0, census: Object.fromEntries(census), begunAt },
    S2: { fence: kek.entry.fence, revision },
    S3: { kind, level, reasons },
    S4: {
      sources: await askSources(declared, kek.id, next),
      statement: declared.length === 0 ? NONE_DECLARED : SOME_DECLARED,
    },
    // No more of it: where it stands may name a secret, and a certificate is kept and passed on.
    S5: { operation: newest && { id: newest.id, status: newest.status, targetKekId: newest.targetKekId } },
    S6: { needed: [...needed].sort(), instances: agreement(document, sightings, needed) },
    S7: { currentKekId: current, sameBytesAs: sameBytes(document, kek) },
    S8: {
      incarnation,
      incarnationAtFence: kek.entry.fence?.incarnation ?? null,
      epoch: document.epoch,
      highestEpoch: Math.max(document.epoch, state.highestEpoch, claims.minEpoch ?? 0, ...epochs),
    },
    S9: { escrowedAt: kek.entry.escrowedAt, acceptedLossOfBackups: claims.acceptLossOfBackups ?? null },
  }
}

async function askSources(
  declared: readonly DeclaredSource[],
  kekId: string,
  next: () => CallOptions,
): Promise<readonly SourceEvidence[]> {
  const answers: SourceEvidence[] = []
  for (const source of declared) {
    const { name } = source
    answers.push(
      'count' in source
        ? { name, envelopes: checkCount(name, await source.count(kekId, next())), maxAgeMs: null }
        : { name, envelopes: null, maxAgeMs: source.maxAgeMs },
    )
  }
  return answers
}

/** Databases answer a sum over nothing with null and a count with a text: neither may pass for a 0. */
function checkCount(name: string, envelopes: unknown): number {
  if (typeof envelopes === 'number' && Number.isSafeInteger(envelopes) && envelopes >= 0) return envelopes
  throw new TypeError(`The declared source "${name}" did not count: its answer is a whole number from 0.`)
}

/** The other ids of the same bytes that are not retired themselves. */
function sameBytes(
  { keks }: KeyringDocument,
  { id, entry }: { readonly id: string; readonly entry: KekEntry },
): readonly string[] {
  return Object.entries(keks)
    .filter(
      ([other, { fingerprint, state }]) =>
        other !== id && state !== 'retired' && fingerprint === entry.fingerprint,
    )
    .map(([other]) => other)
}
