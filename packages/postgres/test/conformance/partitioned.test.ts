import { conformanceChecks, type OpenStore } from '@talos/envelope-conformance'
import type { PostgresStore } from '@talos/envelope-postgres'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { service } from '../../../../test/services/service.ts'
import { filled, secretOf } from '../../../../test/stored-secrets.ts'
import { Database, database } from '../database.ts'

const PARTITIONS = 4
const RECORDS = 200_000

/** Moves the secrets of a store into a partitioned table, as the guide "Rotation at scale" says. */
async function partition(at: Database): Promise<void> {
  const parts = Array.from(
    { length: PARTITIONS },
    (_, n) => `CREATE TABLE ${at.of(`secrets_${n}`)} PARTITION OF ${at.of('partitioned')}
      FOR VALUES WITH (MODULUS ${PARTITIONS}, REMAINDER ${n})
      WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);`,
  )
  await at.run(`BEGIN;
    CREATE TABLE ${at.of('partitioned')} (
      LIKE ${at.of('secrets')} INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE, PRIMARY KEY (name)
    ) PARTITION BY HASH (name);
    CREATE INDEX ON ${at.of('partitioned')} (kek_id, name);
    ${parts.join('\n')}
    INSERT INTO ${at.of('partitioned')} (name, wrap, meta, sealed) SELECT name, wrap, meta, sealed FROM ${at.of('secrets')};
    DROP TABLE ${at.of('secrets')};
    ALTER TABLE ${at.of('partitioned')} RENAME TO talos_secrets;
    COMMIT;`)
}

async function partitioned(at: Database): Promise<PostgresStore> {
  const store = await at.migrated()
  await partition(at)
  return store
}

describe('the PostgreSQL store on a partitioned table', () => {
  let url = ''
  beforeAll(async () => {
    url = await service('postgres-18')
  })

  const open: OpenStore = async () => {
    const at = new Database(url)
    const store = await partitioned(at)
    return {
      store,
      another: async () => at.store(),
      async hold() {
        const holder = await at.pool().connect()
        await holder.query('BEGIN')
        await holder.query(`LOCK TABLE ${at.of('fence')}, ${at.of('documents')} IN EXCLUSIVE MODE`)
        return async () => {
          await holder.query('ROLLBACK')
          holder.release()
        }
      },
      async holdWrite(guard, changes) {
        const client = await at.pool().connect()
        await client.query('BEGIN')
        const outcomes = await store.within(client).write(guard, changes)
        return {
          outcomes,
          async commit() {
            const { command } = await client.query('COMMIT')
            client.release()
            return command === 'COMMIT'
          },
        }
      },
      async restore() {
        await store.renewIncarnation()
      },
      close: () => at.close(),
    }
  }

  // Whether the connection breaks has nothing to do with where the rows lie.
  const without = ['clientState', 'destroySealed', 'outage', 'proxied'] as const
  test.for(conformanceChecks(open, { without }))('$name', { timeout: 60_000 }, ({ run }) => run())

  test('secrets that were there before are moved with it', async () => {
    const at = database(url)
    const store = await at.migrated()
    await filled(store, 500)
    await partition(at)
    expect((await store.census()).get('v1')).toBe(500)
    const [record] = await store.read(['n499'])
    const { wrap, meta, sealed } = secretOf('n499')
    expect(record).toMatchObject({ wrap, meta })
    expect(Buffer.compare(record?.sealed ?? Buffer.alloc(0), sealed)).toBe(0)
  })

  test('long values lie outside of the rows that a rewrap moves, as in one table', async () => {
    const at = database(url)
    await partitioned(at)
    const storage = await at.run(
      `SELECT DISTINCT attname, attstorage FROM pg_attribute WHERE attrelid = '${at.of('secrets_3')}'::regclass
        AND attname IN ('name', 'wrap', 'kek_id', 'sealed') ORDER BY attname`,
    )
    expect(storage).toEqual([
      { attname: 'kek_id', attstorage: 'p' },
      { attname: 'name', attstorage: 'p' },
      { attname: 'sealed', attstorage: 'e' },
      { attname: 'wrap', attstorage: 'p' },
    ])
  })

  test('its shards are found in a sample, and not by reading everything', async () => {
    const at = database(url)
    const store = await partitioned(at)
    await at.run(`INSERT INTO ${at.of('secrets')} (name, wrap, meta, sealed)
      SELECT 'provider/' || n, 'talos:v2:v1:' || repeat('w', 160), '{}', sha256(n::text::bytea) || sha256('')
      FROM generate_series(1, ${RECORDS}) n`)
    const seen = async (): Promise<number> => {
      const [row] = await at.run<{ seen: string }>(
        `SELECT coalesce(sum(seq_tup_read), 0) AS seen FROM pg_stat_user_tables WHERE relname LIKE 'talos_secrets_%'
          AND schemaname = $1`,
        [at.schema],
      )
      return Number(row?.seen)
    }
    const before = await seen()
    expect(await store.shards?.(4)).toHaveLength(4)
    const read = await vi.waitFor(
      async () => {
        const now = await seen()
        expect(now).toBeGreaterThan(before)
        return now - before
      },
      { timeout: 20_000, interval: 50 },
    )
    console.log(`${RECORDS} records in ${PARTITIONS} partitions: ${read} were looked at to divide them`)
    expect(read).toBeLessThan(RECORDS / 2)
  })
})
