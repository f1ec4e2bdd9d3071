import type { Attributes } from '@opentelemetry/api'
import type { VaultEvent } from '@talos/envelope'
import { OTHER_ERROR } from './error-type.ts'
import type { InstrumentSet } from './instruments.ts'
import { ATTRIBUTE } from './names.ts'

/** Counts an event of a vault. */
export function countEvent(event: VaultEvent, instruments: InstrumentSet, shared: Attributes): void {
  switch (event.type) {
    case 'call': {
      const attributes = { ...shared, [ATTRIBUTE.operation]: event.operation, ...outcome(event.outcome) }
      instruments.callDuration.record(event.durationMs / 1000, attributes)
      break
    }
    case 'rotation_batch':
      countBatch(event, instruments, shared)
      break
    case 'promoted':
      instruments.promotions.add(1, { ...shared, [ATTRIBUTE.kekId]: event.kekId })
      break
    case 'unexpected_kek':
      instruments.unexpectedKeks.add(1, {
        ...shared,
        [ATTRIBUTE.kekId]: event.kekId,
        [ATTRIBUTE.kekState]: event.state,
      })
      break
    case 'fault':
      instruments.faults.add(1, {
        ...shared,
        [ATTRIBUTE.during]: event.during,
        [ATTRIBUTE.errorType]: errorType(event.code),
      })
      break
    default:
  }
}

type Batch = Extract<VaultEvent, { readonly type: 'rotation_batch' }>

function countBatch(
  batch: Batch,
  { rotationRecords, batchDuration }: InstrumentSet,
  shared: Attributes,
): void {
  const { records, rewrapped, changed, deleted, failed } = batch
  const alreadyCurrent = records - rewrapped - changed - deleted - failed
  const outcomes = {
    [batch.dryRun ? 'rehearsed' : 'rewrapped']: rewrapped,
    already_current: alreadyCurrent,
    ...{ changed, deleted, failed },
  }
  for (const [became, count] of Object.entries(outcomes)) {
    // Also 0: an alarm on a rate needs the series before the first failure.
    rotationRecords.add(count, { ...shared, [ATTRIBUTE.outcome]: became })
  }
  for (const [step, milliseconds] of Object.entries({ plan: batch.planMs, write: batch.writeMs })) {
    batchDuration.record(milliseconds / 1000, { ...shared, [ATTRIBUTE.rotationStep]: step })
  }
}

function outcome(told: string): Attributes {
  const failed = told.startsWith('ERR_') || told === 'unexpected'
  return failed
    ? { [ATTRIBUTE.outcome]: 'failed', [ATTRIBUTE.errorType]: errorType(told) }
    : { [ATTRIBUTE.outcome]: told }
}

function errorType(code: string): string {
  return code === 'unexpected' ? OTHER_ERROR : code
}
