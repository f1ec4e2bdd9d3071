import type { Certificate } from '../api/types.ts'
import type { PageName } from '../router.ts'
import { inWords, many, momentOf } from './numbers.ts'

/** What stands in the way of a retirement, as a heading and the next step. */
export interface Blocker {
  readonly title: string
  readonly step: string
  /** The page on which the step is done. */
  readonly page?: PageName
}

/** By the stable codes of the certificate. The certificate's own message names ids and numbers, and is shown besides. */
const BLOCKERS: Readonly<Record<string, Blocker>> = {
  records_remain: {
    title: 'Secrets are still under it',
    step: 'Rotate. What a finished rotation left over is in its quarantine: restore, replace or delete each.',
    page: 'rotation',
  },
  never_fenced: {
    title: 'Late writes under it cannot be ruled out',
    step: 'Have the service run vault.confirmStore(), rotate, and check again.',
  },
  store_advisory: {
    title: 'The store cannot promise that its count is complete',
    step: 'Nothing to mend here: decide whether you accept that, with a reason, when you retire the KEK.',
  },
  source_holds_envelopes: {
    title: 'Another place still holds envelopes under it',
    step: 'Rotate, or re-wrap them in the program that owns the place, then check again.',
    page: 'rotation',
  },
  source_not_expired: {
    title: 'Envelopes elsewhere have not expired yet',
    step: 'Wait until the time named, then check again.',
  },
  source_not_counted: {
    title: 'Another place could not be asked',
    step: 'Mend the place that is named, then check again.',
  },
  source_not_declared_here: {
    title: 'This instance does not know every place of envelopes',
    step: 'Declare the place here too, or check on an instance that has declared all of them.',
    page: 'instances',
  },
  operation_targets_it: {
    title: 'A rotation still goes towards it',
    step: 'Let that rotation end, or cancel it, then start one towards the current KEK.',
    page: 'rotation',
  },
  instance_behind: {
    title: 'An instance has not seen the latest change',
    step: 'It looks every few seconds: check again, and stop it if it hangs.',
    page: 'instances',
  },
  instance_disagrees: {
    title: 'An instance lacks a KEK that is needed',
    step: 'Correct its key source, or stop it.',
    page: 'instances',
  },
  instance_unknown: {
    title: 'An instance reports what cannot be read here',
    step: 'Update it, or stop it.',
    page: 'instances',
  },
  is_current: {
    title: 'It is current: new values go under it',
    step: 'Promote another KEK first, then rotate.',
  },
  same_bytes: {
    title: 'Another KEK has the same bytes',
    step: 'Retire neither. Generate a new KEK, promote it and rotate.',
  },
  incarnation_changed: {
    title: 'The store was restored or failed over since',
    step: 'See that this is the data to go on with, run vault.confirmStore(), rotate, and check again.',
  },
  epoch_went_back: {
    title: 'The store has gone back in time',
    step: 'See that this is the data to go on with, run vault.confirmStore(), rotate, and check again.',
  },
  escrow_not_recorded: {
    title: 'No escrow was recorded: its backups could never be read again',
    step: 'Seal the KEK, keep the file and record it; or accept the loss, with a reason, when you retire it.',
  },
}

export function blockerOf(code: string): Blocker {
  return BLOCKERS[code] ?? { title: 'Something else stands in the way', step: 'See what it says.' }
}

/** One clause of the gate as a line: what was looked at, and what was seen. */
export interface Check {
  readonly clause: string
  readonly title: string
  readonly seen: string
  readonly outcome: 'ok' | 'warn' | 'bad'
}

export function checksOf({ reasons, evidence, kekId }: Certificate): readonly Check[] {
  const { S1, S2, S3, S4, S5, S6, S7, S8, S9 } = evidence
  const lines = [
    ['S1', 'No secret is under it', `${many(S1.records, 'secret')} in a complete count`],
    ['S2', 'No late write can come', S2.fence === null ? 'no fence' : `fenced ${momentOf(S2.fence.at)}`],
    ['S3', 'The count can be relied on', `${S3.kind}: ${S3.level}`],
    [
      'S4',
      'No other place holds it',
      S4.sources.length === 0 ? 'none declared' : many(S4.sources.length, 'place'),
    ],
    [
      'S5',
      'No rotation goes towards it',
      S5.operation === null ? 'none yet' : `last one towards ${S5.operation.targetKekId}`,
    ],
    ['S6', 'Every instance has followed', many(S6.instances.length, 'instance')],
    ['S7', 'Nobody else has its bytes', `current is ${S7.currentKekId}`],
    ['S8', 'The store has not gone back', `epoch ${inWords(S8.epoch)}`],
    ['S9', 'Its backups can be opened', escrow(S9)],
  ] as const
  return lines.map(([clause, title, seen]) => {
    const own = reasons.filter((reason) => reason.clause === clause)
    const isBad = own.some(({ weight }) => weight === 'blocks')
    const isCurrent = clause === 'S7' && S7.currentKekId === kekId
    return {
      clause,
      title: isCurrent ? 'It is not current' : title,
      seen,
      outcome: isBad ? 'bad' : own.length > 0 ? 'warn' : 'ok',
    }
  })
}

function escrow({ escrowedAt, acceptedLossOfBackups }: Certificate['evidence']['S9']): string {
  if (escrowedAt !== null) return `escrow recorded ${momentOf(escrowedAt)}`
  return acceptedLossOfBackups === null ? 'no escrow recorded' : 'loss accepted'
}
