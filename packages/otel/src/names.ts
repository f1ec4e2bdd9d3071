import type { MetricOptions } from '@opentelemetry/api'
import { ValueType } from '@opentelemetry/api'

/** The instrumentation scope of all spans and metrics. */
export const SCOPE = '@talos/envelope-otel'

/** Names of attributes. What they hold are ids, states, codes and counts. */
export const ATTRIBUTE = {
  errorType: 'error.type',
  namespace: 'talos.envelope.namespace',
  operation: 'talos.envelope.operation',
  outcome: 'talos.envelope.outcome',
  during: 'talos.envelope.during',
  reason: 'talos.envelope.reason',
  secrets: 'talos.envelope.secrets',
  kekId: 'talos.envelope.kek.id',
  kekState: 'talos.envelope.kek.state',
  instanceState: 'talos.envelope.instance.state',
  rotationId: 'talos.envelope.rotation.id',
  rotationStatus: 'talos.envelope.rotation.status',
  rotationStep: 'talos.envelope.rotation.step',
  rotationPass: 'talos.envelope.rotation.pass',
  rotationDryRun: 'talos.envelope.rotation.dry_run',
  rotationWaiting: 'talos.envelope.rotation.waiting',
  rotationBatches: 'talos.envelope.rotation.batches',
  rotationRecords: 'talos.envelope.rotation.records',
  rotationRewrapped: 'talos.envelope.rotation.rewrapped',
  rotationChanged: 'talos.envelope.rotation.changed',
  rotationDeleted: 'talos.envelope.rotation.deleted',
  rotationFailed: 'talos.envelope.rotation.failed',
} as const

/** From half a millisecond, which a local store takes, to the ten seconds that a call has. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

type Described = MetricOptions & { readonly name: string }

const count = (name: string, unit: string, description: string): Described => ({
  name,
  unit,
  description,
  valueType: ValueType.INT,
})
const seconds = (name: string, description: string): Described => ({ name, unit: 's', description })

/** What is counted as it happens, from events. */
export const EVENT_METRICS = {
  callDuration: {
    ...seconds('talos.envelope.call.duration', 'Duration of calls of the vault.'),
    advice: { explicitBucketBoundaries: SECONDS },
  },
  batchDuration: {
    ...seconds('talos.envelope.rotation.batch.duration', 'Duration of the steps of a batch of a rotation.'),
    advice: { explicitBucketBoundaries: SECONDS },
  },
  rotationRecords: count(
    'talos.envelope.rotation.records',
    '{record}',
    'Records that rotations worked on here, by what became of them. A later pass counts a failure again.',
  ),
  promotions: count(
    'talos.envelope.promotions',
    '{promotion}',
    'KEKs that became current, each of which fenced the former one.',
  ),
  unexpectedKeks: count(
    'talos.envelope.kek.unexpected',
    '{alarm}',
    'Alarms of a secret under a KEK that should have none left.',
  ),
  faults: count('talos.envelope.faults', '{fault}', 'Faults of work in the background.'),
  statusFailures: count(
    'talos.envelope.status.failures',
    '{failure}',
    'Looks at the vault that failed. The gauges made from them are not observed then.',
  ),
} as const

/** What is observed when metrics are collected. */
export const GAUGES = {
  ready: count('talos.envelope.ready', '1', 'Whether this instance can serve every record.'),
  statusAge: seconds(
    'talos.envelope.status.age',
    'Time since the last look at the vault that did not fail, which the gauges below come from.',
  ),
  kekRecords: count('talos.envelope.kek.records', '{record}', 'Records under a KEK.'),
  kekRecordsAtLeast: count(
    'talos.envelope.kek.records_at_least',
    '1',
    'Whether there are at least as many records under a KEK as told: counting stops at a bound.',
  ),
  kekAge: seconds('talos.envelope.kek.age', 'Time since the current KEK became current.'),
  staleRecords: count(
    'talos.envelope.stale.records',
    '{record}',
    'Records that are not under the target KEK.',
  ),
  staleAge: seconds(
    'talos.envelope.stale.age',
    'Time since the fence of the oldest KEK that still has records; 0 for none.',
  ),
  instances: count('talos.envelope.fleet.instances', '{instance}', 'Instances, live and silent.'),
  disagreeing: count(
    'talos.envelope.fleet.disagreeing',
    '{instance}',
    'Live members that have not seen the epoch or lack a KEK that is needed.',
  ),
  promotionPending: count('talos.envelope.promotion.pending', '1', 'Whether a promotion waits.'),
  promotionWaiting: count(
    'talos.envelope.promotion.waiting',
    '{instance}',
    'Instances that the pending promotion waits for.',
  ),
  rotationStatus: count(
    'talos.envelope.rotation.status',
    '1',
    'The status of the newest rotation: 1 for the one it has, 0 for the others.',
  ),
  quarantined: count(
    'talos.envelope.rotation.quarantined',
    '{record}',
    'Records that the newest rotation could not re-wrap.',
  ),
} as const

/** A gauge, by its key. */
export type GaugeName = keyof typeof GAUGES
