import { StoreError } from '@talos/envelope'
import type { Row, Session } from './session.ts'
import { sql } from './sql.ts'

/** One record and its SQL around it, twice as long in hexadecimal. */
const NEEDED_PACKET_BYTES = 4 * 1_048_576

const VARIABLES = sql`SHOW SESSION VARIABLES WHERE Variable_name IN
  ('autocommit', 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', 'max_allowed_packet', 'read_only', 'server_id',
   'sql_mode', 'wsrep_on')`
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
  refuseFollower(variables.get('read_only') === 'ON')
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

/** @throws StoreError `ERR_STORE_CONFIGURATION` when the server takes no writes: it follows another one, or will. */
export function refuseFollower(readOnly: boolean): void {
  if (readOnly) throw refusal('the server is read-only; connect to the primary')
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
  return [String(row['Variable_name']), String(row['Value'])]
}

function refusal(message: string): StoreError {
  return new StoreError('ERR_STORE_CONFIGURATION', message)
}
