import { isEnvelopeError } from '../../errors.ts'
import { type Runtime, timestamp } from '../../runtime.ts'
import type { CallOptions, SecretStore } from '../../store/secret-store.ts'
import { type Fleet, liveReports, type Sighting } from '../fleet.ts'
import { agreement } from '../fleet-agreement.ts'
import { currentKekId, type KekEntry, type KeyringDocument } from '../keyring-document.ts'
import type { KeyringSnapshot, KeyringState } from '../keyring-state.ts'
import { askSource, brokenContract } from './ask-source.ts'
import type { RetirementEvidence, SourceElsewhere, SourceEvidence } from './certificate.ts'
import type { DeclaredSource } from './declared-source.ts'

/** What evidence is gathered from. */
export interface EvidenceSources {
  readonly store: SecretStore
  readonly state: KeyringState
  readonly fleet: Fleet
  readonly runtime: Runtime
  /** What is declared at the moment. */
  readonly declared: () => readonly DeclaredSource[]
  /** The newest rotation. */
  readonly newestOperation: (options: CallOptions) => Promise<RetirementEvidence['S5']['operation']>
}

/** What the caller adds to the evidence. */
export interface EvidenceClaims {
  /** An epoch that the operator knows of, for instance from the last certificate. */
  readonly minEpoch?: number
  readonly acceptLossOfBackups?: string
}

const DEFAULT_TIMEOUT_MS = 10_000
/** The most instances that are named with a source declared elsewhere. */
const MOST_PROCESSES = 10

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
  const { store, state, fleet, runtime } = sources
  const declared = sources.declared()
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
      sources: await countSources(runtime, declared, kek.id, next),
      elsewhere: declaredElsewhere(declared, sightings),
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

/** The sources are asked at once, and none for longer than half of the time that is left: what follows needs the rest. */
async function countSources(
  runtime: Runtime,
  declared: readonly DeclaredSource[],
  kekId: string,
  next: () => CallOptions,
): Promise<readonly SourceEvidence[]> {
  const options = next()
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options
  const bounded = { ...options, timeoutMs: timeoutMs / 2 }
  return await Promise.all(
    declared.map(async (source): Promise<SourceEvidence> => {
      const { name } = source
      if ('maxAgeMs' in source) return { name, envelopes: null, maxAgeMs: source.maxAgeMs, fault: null }
      try {
        const envelopes = await askSource(runtime, name, (each) => source.count(kekId, each), bounded)
        return { name, envelopes: checkCount(name, envelopes), maxAgeMs: null, fault: null }
      } catch (error) {
        if (!isEnvelopeError(error)) throw error
        const { code, message } = error
        return { name, envelopes: null, maxAgeMs: null, fault: { code, message } }
      }
    }),
  )
}

/** Databases answer a sum over nothing with null and a count with a text: neither may pass for a 0. */
function checkCount(name: string, envelopes: unknown): number {
  if (typeof envelopes === 'number' && Number.isSafeInteger(envelopes) && envelopes >= 0) return envelopes
  throw brokenContract(name, 'a count is a whole number from 0')
}

function declaredElsewhere(
  declared: readonly DeclaredSource[],
  sightings: readonly Sighting[],
): readonly SourceElsewhere[] {
  const here = new Set(declared.map(({ name }) => name))
  const elsewhere = new Map<string, string[]>()
  for (const { process: instance, sources = [] } of liveReports(sightings)) {
    for (const name of sources) {
      if (!here.has(name)) elsewhere.set(name, [...(elsewhere.get(name) ?? []), instance])
    }
  }
  return [...elsewhere]
    .map(([name, processes]) => ({ name, processes: processes.sort().slice(0, MOST_PROCESSES) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
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
