import { StoreError } from '@talos/envelope'
import { number, type Row, type Session, text } from './session.ts'
import { type Sql, sql } from './sql.ts'

/** One record and its SQL around it, twice as long in hexadecimal. */
const NEEDED_PACKET_BYTES = 4 * 1_048_576

const VARIABLES = sql`SHOW SESSION VARIABLES WHERE Variable_name IN
  ('autocommit', 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', 'max_allowed_packet', 'read_only', 'server_id',
   'sql_mode', 'wsrep_on')`
const READ_ONLY = 'the server is read-only; connect to the primary'
const REPLICATION = sql`SHOW GLOBAL STATUS LIKE 'Slaves_running'`

/** What the server says of itself. */
export interface Fitness {
  readonly serverId: string
  /** Why what was acknowledged may be lost when the server's machine dies; empty when it may not. */
  readonly reasons: readonly string[]
}

/**
 * Looks whether a connection leads to a server on which every clause can be kept.
 *
 * @throws StoreError `ERR_STORE_CONFIGURATION` that says what to change.
 */
export async function examine(session: Session): Promise<Fitness> {
  const variables = new Map((await session.run(VARIABLES)).map(pair))
  if (variables.get('read_only') === 'ON') throw refusal(READ_ONLY)
  const [status] = await session.run(REPLICATION)
  if (status !== undefined && Number(pair(status)[1]) > 0) {
    throw refusal('the server is a replica; connect to its primary')
  }
  if (variables.get('wsrep_on') === 'ON') {
    throw refusal(
      'the server is a node of a Galera cluster, whose row locks end at the node; use a single server',
    )
  }
  if (variables.get('autocommit') !== 'ON') {
    throw refusal('autocommit is off for this pool; leave it on, or reads would be of an old snapshot')
  }
  if (!/\bSTRICT_(?:TRANS|ALL)_TABLES\b/.test(variables.get('sql_mode') ?? '')) {
    throw refusal(
      'sql_mode is not strict; add STRICT_TRANS_TABLES, or what is too long would be cut in silence',
    )
  }
  if (Number(variables.get('max_allowed_packet')) < NEEDED_PACKET_BYTES) {
    throw refusal(`max_allowed_packet is too small; set it to ${NEEDED_PACKET_BYTES} or more`)
  }
  return { serverId: variables.get('server_id') ?? '', reasons: [...doubts(variables)] }
}

/**
 * The column that {@link requirePrimary} looks at. In every answer, because a primary may be demoted at any time. The sum,
 * because MariaDB 10.11 answers 0 for the bare variable in a statement with GROUP BY.
 */
export const FOLLOWER: Sql = sql`@@GLOBAL.read_only + 0 AS follower`

/**
 * Looks whether an answer is of a server that takes writes.
 *
 * @param row - Any row of the answer. Where there is none, the server is asked again.
 * @throws StoreError `ERR_STORE_CONFIGURATION` when it is read-only: it follows another one, or will.
 */
export async function requirePrimary(session: Session, row: Row | undefined): Promise<void> {
  const [said] = row === undefined ? await session.bounded(sql`SELECT ${FOLLOWER}`) : [row]
  if (said === undefined || number(said['follower']) !== 0) throw refusal(READ_ONLY)
}

function* doubts(variables: ReadonlyMap<string, string>): Generator<string> {
  const flush = variables.get('innodb_flush_log_at_trx_commit')
  if (flush !== '1')
    yield `innodb_flush_log_at_trx_commit is ${flush}: a crash loses acknowledged writes; set it to 1`
  const method = variables.get('innodb_flush_method') ?? ''
  if (/^(?:nosync|littlesync)$/i.test(method)) {
    yield `innodb_flush_method is ${method}: a crash of the machine loses acknowledged writes`
  }
}

function pair(row: Row): readonly [string, string] {
  return [text(row['Variable_name']), text(row['Value'])]
}

function refusal(message: string): StoreError {
  return new StoreError('ERR_STORE_CONFIGURATION', message)
}
