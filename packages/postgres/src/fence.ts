import { StoreError } from '@talos/envelope'
import { Deadline } from './deadline.ts'
import { type DocumentTable, revisionOf } from './document-table.ts'
import type { Names } from './names.ts'
import { outcome, type PoolSession } from './session.ts'

const FIRST_WAIT_MS = 200
const DESCRIBE_TIMEOUT_MS = 2_000

/**
 * Changes the keyring document behind the fence: once it has returned, no write with an older guard can take effect.
 *
 * It waits for the transactions that write secrets, and while it waits all new ones wait behind it. So it never waits for
 * longer than a while at a time, steps back to let them pass, and then waits for twice as long.
 *
 * @param maxWriteStallMs - The longest it waits at a time.
 * @throws StoreError `ERR_STORE_UNAVAILABLE` that names the sessions in the way; nothing was changed.
 */
export async function writeKeyring(
  session: PoolSession,
  names: Names,
  documents: DocumentTable,
  change: { readonly expectedRevision: number; readonly value: string | null },
  options: { readonly maxWriteStallMs: number; readonly deadline: Deadline },
): Promise<number | null> {
  const { deadline, maxWriteStallMs } = options
  let doubtful = false
  for (
    let waitMs = Math.min(FIRST_WAIT_MS, maxWriteStallMs);
    ;
    waitMs = Math.min(2 * waitMs, maxWriteStallMs)
  ) {
    const lockTimeoutMs = Math.max(1, Math.round(waitMs))
    const { statement, values } = documents.writingKeyring(
      lockTimeoutMs,
      change.expectedRevision,
      change.value,
    )
    const ended = await session.attempt(statement, values, deadline)
    if ('rows' in ended) return revisionOf(ended.rows)
    const { failure } = ended
    doubtful ||= failure.kind === 'retry' ? failure.mayBeWritten : failure.kind === 'lost' && ended.connected
    if (failure.kind === 'retry') {
      await deadline.pause(waitMs)
      if (!deadline.passed) continue
    }
    if (doubtful || failure.kind === 'final' || failure.kind === 'lost' || deadline.aborted) {
      throw outcome(failure, deadline, doubtful)
    }
    throw new StoreError(
      'ERR_STORE_UNAVAILABLE',
      `${deadline.why(await describeWriters(session, names))}; nothing was changed`,
      { retryable: true, cause: failure.cause },
    )
  }
}

/** The transactions that keep the fence waiting, in words and with the lines that end them. */
async function describeWriters(session: PoolSession, names: Names): Promise<string> {
  const text = `SELECT coalesce(l.pid::text, 'a prepared transaction') AS pid, coalesce(a.application_name, '') AS application,
  coalesce(round(extract(epoch FROM clock_timestamp() - a.xact_start))::text, '?') AS seconds
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'RowExclusiveLock'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.relation = to_regclass(${names.literal('fence')}) ORDER BY a.xact_start LIMIT 10`
  const waited = 'transactions that write secrets were open all the time'
  try {
    const rows = await session.run(
      { text, writes: false },
      [],
      new Deadline({ timeoutMs: DESCRIBE_TIMEOUT_MS }),
    )
    if (rows.length === 0) return waited
    const writers = rows.map(({ pid, application, seconds }) => {
      const name = application === '' ? '' : ` (${application})`
      return `${pid}${name}, open for ${seconds} s`
    })
    return `${waited}, now those of the sessions ${writers.join('; ')}. End them with: SELECT pg_terminate_backend(<session>)`
  } catch {
    // The answer is not worth another error.
    return waited
  }
}
