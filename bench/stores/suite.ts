import type { Comparison, Heat } from '../measure/report.ts'
import type { Targets } from '../measure/targets.ts'
import { dynamodbHeats } from './dynamodb.ts'
import { postgresAccessComparisons, postgresAccessHeats } from './postgres-access.ts'
import { PostgresLab } from './postgres-lab.ts'
import { postgresRewrapComparisons, postgresRewrapHeats } from './postgres-rewrap.ts'
import { postgresListComparisons, postgresStatusComparisons, postgresStatusHeats } from './postgres-status.ts'
import { redisAccessComparisons, redisHeats, redisRewrapComparisons } from './redis.ts'
import { sqliteAccessComparisons, sqliteHeats, sqliteRewrapComparisons } from './sqlite.ts'

/** What has to hold, by name of the ratio. */
export const STORES_TARGETS: Targets = {
  'postgres/rewrap/400B/bareUpdate/1connection': 0.3,
  'postgres/rewrap/400B/bareUpdate/2connections': 0.4,
  'postgres/rewrap/400B/loop/transaction': 4,
  'postgres/rewrap/8KiB/400B/1connection': 0.7,
  'postgres/get/400B/statement': { atMost: 1.3 },
  'postgres/kekStatus/1%stale/select1': { atMost: 30 },
  'postgres/kekStatus/100%stale/select1': { atMost: 300 },
  'redis/rewrap/400B/scriptEach': 15,
}

/**
 * Makes the heats of the suite one after the other, each with the server it needs.
 *
 * @returns The heats.
 */
export async function* storesHeats(): AsyncGenerator<Heat> {
  const lab = await PostgresLab.start()
  try {
    yield* postgresRewrapHeats(lab)
    yield* postgresAccessHeats(lab)
    yield* postgresStatusHeats(lab)
  } finally {
    await lab.stop()
  }
  yield* sqliteHeats()
  yield* redisHeats()
  // Says what DynamoDB bills; on the emulator there is nothing to compare.
  yield* dynamodbHeats()
}

/** Lists the ratios of the whole suite. */
export function storesComparisons(): readonly Comparison[] {
  return [
    ...postgresRewrapComparisons(),
    ...postgresAccessComparisons('get'),
    ...postgresAccessComparisons('put'),
    ...postgresStatusComparisons('1%'),
    ...postgresListComparisons(),
    ...postgresStatusComparisons('100%'),
    ...sqliteRewrapComparisons(),
    ...sqliteAccessComparisons(),
    ...redisRewrapComparisons(),
    ...redisAccessComparisons(),
  ]
}
