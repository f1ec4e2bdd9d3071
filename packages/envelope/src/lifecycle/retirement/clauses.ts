import { millisecondsOf, timestampOf } from '../../runtime.ts'
import { disagreeing, type InstanceStatus } from '../fleet-agreement.ts'
import type { KekEntry } from '../keyring-document.ts'
import type {
  RetirementClause,
  RetirementEvidence,
  RetirementReason,
  RetirementReasonCode,
} from './certificate.ts'

/** What a clause is judged by. */
export interface RetirementCase {
  readonly kekId: string
  readonly entry: KekEntry
  readonly evidence: RetirementEvidence
  /** Milliseconds since 1970 by this process's clock; no clause from S1 to S5 rests on it but that of a bounded age. */
  readonly nowMs: number
}

const HOLDING = {
  missing: 'missing',
  other_bytes: 'loaded with other bytes',
  untested: 'not through its self-test',
  decrypt_only: 'marked decrypt-only',
} as const

type Finding = Omit<RetirementReason, 'clause'>

const blocks = (code: RetirementReasonCode, message: string): Finding => ({ code, weight: 'blocks', message })

/** Rule S as a table: each clause with what it finds fault with. */
const CLAUSES: readonly (readonly [RetirementClause, (about: RetirementCase) => readonly Finding[]])[] = [
  ['S1', recordsRemain],
  ['S2', neverFenced],
  ['S3', storeIsAdvisory],
  ['S4', sourcesHold],
  ['S5', operationTargets],
  ['S6', fleetDisagrees],
  ['S7', stillInUse],
  ['S8', storeWentBack],
  ['S9', notEscrowed],
]

/** Holds the evidence against every clause of rule S. */
export function judge(about: RetirementCase): readonly RetirementReason[] {
  return CLAUSES.flatMap(([clause, findings]) => findings(about).map((finding) => ({ clause, ...finding })))
}

function recordsRemain({ kekId, evidence: { S1 } }: RetirementCase): Finding[] {
  if (S1.records === 0) return []
  const many = S1.records === 1 ? '1 secret is' : `${S1.records} secrets are`
  const message =
    `${many} still under KEK "${kekId}". Rotate, and look at the failures of the rotation if it has ended: each is a ` +
    'secret that has to be restored, replaced or deleted.'
  return [blocks('records_remain', message)]
}

function neverFenced({ kekId, entry, evidence: { S2, S8 } }: RetirementCase): Finding[] {
  // That a current KEK has no fence is what S7 says.
  if (entry.state === 'current') return []
  if (S2.fence === null) {
    const message = `The keyring document holds no fence of KEK "${kekId}". Run vault.confirmStore().`
    return [blocks('never_fenced', message)]
  }
  if (S2.revision >= S8.epoch) return []
  const message =
    `The keyring document was put back by hand, or made anew and not to the end: its revision is ${S2.revision} at epoch ` +
    `${S8.epoch}, so a guard from before could fit again. Run vault.confirmStore(), rotate, and ask again.`
  return [blocks('never_fenced', message)]
}

function storeIsAdvisory({ evidence: { S3 } }: RetirementCase): Finding[] {
  if (S3.level === 'strong') return []
  return S3.reasons.map((reason) => ({
    code: 'store_advisory',
    weight: 'advises',
    message: `The store may not keep or count everything that it acknowledged: ${reason}`,
  }))
}

function sourcesHold({ kekId, entry, evidence: { S4 }, nowMs }: RetirementCase): Finding[] {
  const here = S4.sources.flatMap(({ name, envelopes, maxAgeMs, fault }): Finding[] => {
    if (fault !== null) {
      const message =
        `What the declared source "${name}" holds under KEK "${kekId}" is not known (${fault.code}). ${fault.message} Mend it, ` +
        'then ask again.'
      return [blocks('source_not_counted', message)]
    }
    if (envelopes !== null) {
      if (envelopes === 0) return []
      const many = envelopes === 1 ? '1 envelope' : `${envelopes} envelopes`
      const message =
        `The declared source "${name}" holds ${many} under KEK "${kekId}". Rotate, or re-wrap them with the codec where the ` +
        'source cannot be rotated, then ask again.'
      return [blocks('source_holds_envelopes', message)]
    }
    const endsMs = millisecondsOf(entry.fence?.at ?? '') + (maxAgeMs ?? 0)
    if (nowMs >= endsMs) return []
    const message =
      `Envelopes under KEK "${kekId}" may be in the declared source "${name}" until ` +
      `${Number.isNaN(endsMs) ? 'its age after the fence has passed' : timestampOf(endsMs)}. Wait until then.`
    return [blocks('source_not_expired', message)]
  })
  const elsewhere = S4.elsewhere.map(({ name, processes }) => {
    const message =
      `The source "${name}" is declared by ${processes.join(', ')} and not by this instance, which has not asked it. Declare it ` +
      'here too, or ask an instance that has declared all of them.'
    return blocks('source_not_declared_here', message)
  })
  return [...here, ...elsewhere]
}

function operationTargets({ kekId, evidence: { S5 } }: RetirementCase): Finding[] {
  const { operation } = S5
  const isActive = operation?.status === 'running' || operation?.status === 'paused'
  if (operation === null || !isActive || operation.targetKekId !== kekId) return []
  const message =
    `The rotation ${operation.id} is still going towards KEK "${kekId}". Let it finish, or cancel it with ` +
    'vault.rotations.cancel(), then start one towards the current KEK.'
  return [blocks('operation_targets_it', message)]
}

function fleetDisagrees({ evidence: { S6, S7, S8 } }: RetirementCase): Finding[] {
  return disagreeing(S6.instances).map((instance) => {
    const { process: name, role, epochSeen } = instance
    if (role === 'unknown') {
      const message = `What ${name} reports of itself cannot be read by this version. Update it, or stop it.`
      return blocks('instance_unknown', message)
    }
    if (epochSeen < S8.epoch) {
      const message =
        `${name} has seen epoch ${epochSeen} and not ${S8.epoch} yet. It looks three times in a lease: ask again, or stop ` +
        'it if it hangs.'
      return blocks('instance_behind', message)
    }
    const wanting = S6.needed.flatMap((id) => describeCell(id, id === S7.currentKekId, instance))
    const message = `${name} cannot read or write everything: ${wanting.join('; ')}. Correct its key source, or stop it.`
    return blocks('instance_disagrees', message)
  })
}

function describeCell(kekId: string, isCurrent: boolean, { keks }: InstanceStatus): string[] {
  const holding = keks[kekId]?.holding ?? 'missing'
  return holding === 'held' || (holding === 'decrypt_only' && !isCurrent)
    ? []
    : [`KEK "${kekId}" is ${HOLDING[holding]} there`]
}

function stillInUse({ kekId, entry, evidence: { S7 } }: RetirementCase): Finding[] {
  const findings: Finding[] = []
  if (entry.state === 'current') {
    findings.push(
      blocks('is_current', `KEK "${kekId}" is current. Promote another one and rotate before you retire it.`),
    )
  }
  if (S7.sameBytesAs.length > 0) {
    const ids = S7.sameBytesAs.map((id) => `"${id}"`).join(', ')
    const message = `${ids} has the same bytes as KEK "${kekId}": whoever needs the one needs the other. Retire neither.`
    findings.push(blocks('same_bytes', message))
  }
  return findings
}

function storeWentBack({ kekId, evidence: { S8 } }: RetirementCase): Finding[] {
  const findings: Finding[] = []
  if (S8.incarnationAtFence !== null && S8.incarnationAtFence !== S8.incarnation) {
    const message =
      `The store is not the uninterrupted one that KEK "${kekId}" was fenced on: it was restored, or failed over. See that ` +
      'this is the data to go on with, run vault.confirmStore(), rotate, and ask again.'
    findings.push(blocks('incarnation_changed', message))
  }
  if (S8.epoch < S8.highestEpoch) {
    const message =
      `The keyring document is at epoch ${S8.epoch}, and epoch ${S8.highestEpoch} has been seen: the store has gone back. ` +
      'See that this is the data to go on with, run vault.confirmStore(), rotate, and ask again.'
    findings.push(blocks('epoch_went_back', message))
  }
  return findings
}

function notEscrowed({ kekId, evidence: { S9 } }: RetirementCase): Finding[] {
  if (S9.escrowedAt !== null || S9.acceptedLossOfBackups !== null) return []
  const message =
    `No escrow of KEK "${kekId}" was recorded: backups from its time could never be read again. Seal it with sealKek(), keep ` +
    'the file and record it with vault.keks.recordEscrow(); or accept the loss with acceptLossOfBackups and a reason.'
  return [blocks('escrow_not_recorded', message)]
}
