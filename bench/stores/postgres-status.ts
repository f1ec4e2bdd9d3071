import type { SecretVault } from '@talos/envelope'
import type { Comparison, Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import type { PostgresLab } from './postgres-lab.ts'
import { Rotations, recordMeta } from './rotations.ts'

const PREFIX = 'status_'
const RECORDS = 1_000_000
const CALLS = 100
const PAGE = 100

/**
 * `kek-status` and `list` of a vault with a million records, first with 1 % of them stale and then with all of them.
 *
 * @param lab - A server.
 * @returns Two heats; the second one after the first was measured.
 */
export async function* postgresStatusHeats(lab: PostgresLab): AsyncGenerator<Heat> {
  const store = lab.store(PREFIX, 2)
  await store.migrate()
  const rotations = new Rotations()
  await rotations.fill(store, 0, 0)
  const stale = rotations.currentKekId
  await rotations.promoteNext(store)
  await fillWithTexts(lab, stale, rotations.currentKekId)
  yield {
    title: '',
    contenders: [...statusContenders(lab, rotations.vault, '1%'), ...listContenders(lab, rotations.vault)],
    comparisons: [...postgresStatusComparisons('1%'), ...postgresListComparisons()],
  }
  await rotations.promoteNext(store)
  yield {
    title: '',
    contenders: statusContenders(lab, rotations.vault, '100%'),
    comparisons: postgresStatusComparisons('100%'),
  }
  await rotations.close()
}

/** Lists the ratios of `kek-status`. */
export function postgresStatusComparisons(share: string): readonly Comparison[] {
  return [
    {
      name: `postgres/kekStatus/${share}stale/select1`,
      ours: [`postgres kek-status, ${share} stale`],
      theirs: [`SELECT 1, ${share} stale`],
      tells: 'time',
    },
  ]
}

/** Lists the ratios of `list`. */
export function postgresListComparisons(): readonly Comparison[] {
  const one = { theirs: ['SELECT 1, 1% stale'], tells: 'time' } as const
  return [
    { name: 'postgres/list/firstPage/select1', ours: ['postgres list, first page'], ...one },
    {
      name: 'postgres/list/whole/statements',
      ours: ['postgres list, whole'],
      theirs: ['postgres list by hand, whole'],
      tells: 'time',
    },
  ]
}

function statusContenders(lab: PostgresLab, vault: SecretVault, share: string): readonly Contender[] {
  return [
    { name: `SELECT 1, ${share} stale`, run: () => lab.pool(2).query('SELECT 1'), calls: CALLS, p50: true },
    { name: `postgres kek-status, ${share} stale`, run: () => vault.status(), calls: CALLS, p50: true },
  ]
}

function listContenders(lab: PostgresLab, vault: SecretVault): readonly Contender[] {
  return [
    { name: 'postgres list, first page', run: () => vault.listPage(), calls: CALLS, p50: true },
    { name: 'postgres list, whole', run: () => listAll(vault), calls: 1, values: RECORDS },
    { name: 'postgres list by hand, whole', run: () => listByHand(lab), calls: 1, values: RECORDS },
  ]
}

async function listAll(vault: SecretVault): Promise<void> {
  let seen = 0
  for await (const { version } of vault.list()) seen += version === 1 ? 1 : 0
  if (seen !== RECORDS) throw new Error(`list() showed ${seen} records of ${RECORDS}.`)
}

/** Pages of the size that `list` asks for, each going on where the last one ended. */
async function listByHand(lab: PostgresLab): Promise<void> {
  let last = ''
  for (let seen = 0; seen < RECORDS; seen += PAGE) {
    const { rows } = await lab
      .pool(2)
      .query<{ name: string }>(
        `SELECT name, wrap, meta FROM ${PREFIX}secrets WHERE name > $1 ORDER BY name LIMIT ${PAGE}`,
        [last],
      )
    last = rows.at(-1)?.name ?? ''
  }
}

/**
 * A million records by one statement. Nothing here opens them, so their wrap texts are random ones of the right length. Every
 * hundredth is stale.
 */
async function fillWithTexts(lab: PostgresLab, staleKekId: string, currentKekId: string): Promise<void> {
  await lab.run(`INSERT INTO ${PREFIX}secrets (name, wrap, meta, sealed)
SELECT 'upstream-' || lpad(n::text, 7, '0') || '/prod',
  'talos:v2:' || CASE WHEN n % 100 = 0 THEN '${staleKekId}' ELSE '${currentKekId}' END || ':' || left(repeat(md5(n::text), 4), 110),
  '${recordMeta()}', decode(repeat(md5(n::text), 6), 'hex')
FROM generate_series(1, ${RECORDS}) n`)
  await lab.run(`VACUUM ANALYZE ${PREFIX}secrets`)
}
