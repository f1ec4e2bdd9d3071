import { setImmediate } from 'node:timers/promises'
import { shardCount } from '@talos/envelope'
import type { SecretTables } from './secret-tables.ts'

/** A shard with fewer records is not worth its lease. */
const RECORDS_PER_SHARD = 2_000
/** Only every so many names are looked at. */
const STEP = 250
/** Steps before others have a turn: some milliseconds. */
const STEPS_AT_ONCE = 16

/**
 * The names at which the records divide into shards of about one size, ascending; none for few records. SQLite cannot say how
 * many records lie before a name without going there, so this walks along the index of the names, and reads no record.
 *
 * @param read - Runs a step in a transaction of its own.
 */
export async function bordersOf(
  secrets: SecretTables,
  read: <T>(step: () => T) => Promise<T>,
  atMost: number,
): Promise<readonly string[]> {
  const steps: Buffer[] = []
  const kekIds = await read(() => secrets.kekIds())
  if (atMost === 1) return []
  for (const kekId of kekIds) {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const from: string = after
      const passed = await read(() => secrets.strides(kekId, from, STEP, STEPS_AT_ONCE))
      for (const name of passed) steps.push(Buffer.from(name))
      after = passed.length === STEPS_AT_ONCE ? passed.at(-1) : undefined
      await setImmediate()
    }
  }
  // In the order of the index, which is that of the bytes.
  steps.sort((left, right) => Buffer.compare(left, right))
  const count = shardCount(steps.length * STEP, RECORDS_PER_SHARD, atMost)
  return Array.from({ length: count - 1 }, (_, part) => {
    return String(steps[Math.floor(((part + 1) * steps.length) / count) - 1])
  })
}
