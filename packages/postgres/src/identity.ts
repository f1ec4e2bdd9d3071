import type { StoreIdentity } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import type { Names } from './names.ts'
import { reading, rowsOf } from './secret-table.ts'
import type { Session } from './session.ts'

export const MAX_SEALED_BYTES = 1_048_576 + 28

/** Settings without which a crash of the server may lose what it acknowledged. */
const NEEDED = {
  fsync: 'fsync is off: a crash may lose or damage anything',
  full_page_writes: 'full_page_writes is off: a crash may damage pages',
  synchronous_commit:
    'synchronous_commit is off for this role: a crash may lose the last writes that were acknowledged',
} as const

/**
 * Says what the store is. Its incarnation is made of what changes when the data may not be the same: the id the store was
 * given when its tables were made, the server's own id and timeline, and where the table is. A promoted replica and a restored
 * base backup have another timeline, a restored dump another place.
 */
export async function identify(session: Session, names: Names, deadline: Deadline): Promise<StoreIdentity> {
  const settings = Object.keys(NEEDED).map((name) => `current_setting('${name}') AS ${name}`)
  // The timeline of the control file is that of the last checkpoint; the name of the present log file is not behind.
  const query = reading(`SELECT incarnation, (SELECT system_identifier FROM pg_control_system()) AS system,
  CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
  (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AS database,
  to_regclass(${names.literal('secrets')})::oid AS place, ${settings.join(', ')} FROM ${names.of('store')}`)
  const [row = {}] = await rowsOf(session, query, [], deadline)
  const { incarnation, system, timeline, database, place } = row
  const reasons = Object.entries(NEEDED).flatMap(([name, reason]) => (row[name] === 'off' ? [reason] : []))
  return {
    kind: 'postgres',
    incarnation: `${incarnation}.${system}.${timeline}.${database}.${place}`,
    level: reasons.length === 0 ? 'strong' : 'advisory',
    reasons,
    maxSealedBytes: MAX_SEALED_BYTES,
  }
}
