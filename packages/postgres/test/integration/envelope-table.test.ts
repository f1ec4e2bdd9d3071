import {
  isEnvelopeError,
  type RotatableSource,
  type SourceChange,
  type SourceEnvelope,
} from '@talos/envelope'
import {
  envelopeIndexSql,
  envelopeTable,
  type PostgresPool,
  type PostgresQuery,
} from '@talos/envelope-postgres'
import type { PoolClient } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { type ServiceName, service } from '../../../../test/services/service.ts'
import { until } from '../../../../test/stored-secrets.ts'
import { type Database, database } from '../database.ts'
import { contextOf, Orders, v1, v2 } from '../orders.ts'

const SERVERS: readonly ServiceName[] = ['postgres-15', 'postgres-18', 'pgbouncer']
const urls = new Map<ServiceName, string>()
beforeAll(async () => {
  await Promise.all(SERVERS.map(async (name) => urls.set(name, await service(name))))
}, 60_000)

const at = (name: ServiceName): Database => database(urls.get(name) ?? '')

async function everything(
  source: RotatableSource,
  exceptKekId: string,
  limit = 100,
): Promise<{ readonly found: readonly SourceEnvelope[]; readonly pages: readonly number[] }> {
  const found: SourceEnvelope[] = []
  const pages: number[] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<RotatableSource['scan']>> = await source.scan(
      { cursor, limit, exceptKekId },
      {},
    )
    found.push(...page.items)
    pages.push(page.items.length)
    cursor = page.next
  } while (cursor !== null)
  return { found, pages }
}

/** The change that puts an envelope under v2. */
async function moved({ id, wrap, context }: SourceEnvelope): Promise<SourceChange> {
  // A rewrap looks at the length of the sealed part, not at its bytes.
  const next = await v2.rewrap(`${wrap}:${'A'.repeat(38)}`, context ?? {})
  return { id, expectedWrap: wrap ?? '', wrap: next.slice(0, next.lastIndexOf(':')) }
}

/** A pool that keeps what the server was asked and what it answered. */
function overheard(pool: PostgresPool) {
  const answers: string[] = []
  const asked: PostgresQuery[] = []
  const listening = Object.create(pool, {
    connect: {
      value: async () => {
        const client = await pool.connect()
        return Object.create(client, {
          query: {
            value: async (query: PostgresQuery) => {
              const result = await client.query(query)
              asked.push(query)
              answers.push(JSON.stringify(result.rows))
              return result
            },
          },
          release: { value: (destroy?: boolean) => client.release(destroy) },
        })
      },
    },
  }) as PostgresPool
  return { pool: listening, answers, asked }
}

describe.each(SERVERS)('a column of envelopes on %s', (server) => {
  test('is read page by page in the order of its key, without what is NULL or under the target', async () => {
    const orders = await Orders.create(at(server))
    await orders.fill(v1, 'b', 120)
    await orders.fill(v1, 'a', 35)
    await orders.fill(v2, 'c', 10)
    await orders.set('b', 7, null)
    const source = orders.source()
    const { found, pages } = await everything(source, 'v2', 50)
    const expected = (await orders.rows()).filter(({ card }) => card?.startsWith('talos:v2:v1:'))
    expect(found).toEqual(
      expected.map(({ tenant, order, card }) => ({
        id: JSON.stringify([tenant, order]),
        wrap: card?.slice(0, card.lastIndexOf(':')),
        context: contextOf(tenant, order),
      })),
    )
    expect(pages).toEqual([50, 50, 50, 4])
    expect([await source.count('v1', {}), await source.count('v2', {}), await source.count('v', {})]).toEqual(
      [154, 10, 0],
    )
  })

  test('is re-wrapped by its prefix only: the rest stays, byte for byte, and never leaves the database', async () => {
    const store = at(server)
    const orders = await Orders.create(store)
    await orders.fill(v1, 'a', 25)
    const before = await orders.rows()
    const { pool, answers } = overheard(store.pool())
    const source = orders.source(pool)
    const { found } = await everything(source, 'v2')
    const changes = await Promise.all(found.map(moved))
    expect(await source.rewrap(changes, {})).toEqual(found.map(() => 'done'))
    expect(await source.rewrap(changes, {})).toEqual(found.map(() => 'already'))
    expect(await source.rewrap([], {})).toEqual([])
    const after = await orders.rows()
    for (const [index, { tenant, order, card }] of after.entries()) {
      const sealed = before[index]?.card?.split(':')[4] ?? 'none'
      expect(card?.startsWith('talos:v2:v2:')).toBe(true)
      expect(card?.split(':')[4]).toBe(sealed)
      const value = await v2.unwrap(card ?? '', contextOf(tenant, order))
      expect(Buffer.from(value).toString()).toBe(`card ${order}`)
      for (const answer of answers) expect(answer).not.toContain(sealed)
    }
    expect([await source.count('v1', {}), await source.count('v2', {})]).toEqual([0, 25])
  })

  test('loses no race: another envelope, a NULL and a row that is gone are told and left alone', async () => {
    const store = at(server)
    const orders = await Orders.create(store)
    await orders.fill(v1, 'a', 5)
    const source = orders.source()
    const changes = await Promise.all((await everything(source, 'v2')).found.map(moved))
    const newer = await v1.wrap('newer', contextOf('a', '2'))
    await orders.set('a', 2, newer)
    await orders.set('a', 3, null)
    await store.run(`DELETE FROM ${orders.place} WHERE "Id" = 4`)
    expect(await source.rewrap(changes, {})).toEqual(['done', 'changed', 'missing', 'missing', 'done'])
    const cards = new Map((await orders.rows()).map(({ order, card }) => [order, card]))
    expect([cards.get('2'), cards.get('3'), cards.has('4')]).toEqual([newer, null, false])
  })

  test('says of something that is no envelope that it is none, never what it is, and then counts nothing', async () => {
    const store = at(server)
    const orders = await Orders.create(store)
    await orders.fill(v1, 'a', 1)
    const [{ card = null } = {}] = await orders.rows()
    const cut = card?.slice(0, card.lastIndexOf(':')) ?? ''
    const damaged = [
      '4111 1111 1111 1111',
      '',
      'talos:v1:v1:A:B',
      cut,
      `${cut} :AAAA`,
      'talos:v2:V1:AAAA:BBBB',
    ]
    for (const [index, text] of damaged.entries()) await orders.set('b', index, text)
    const { pool, answers } = overheard(store.pool())
    const source = orders.source(pool)
    const { found } = await everything(source, 'v1')
    expect(found.map(({ id, wrap }) => [id, wrap])).toEqual(
      damaged.map((_, index) => [JSON.stringify(['b', String(index)]), null]),
    )
    const counting = source.count('v1', {})
    await expect(counting).rejects.toMatchObject({ code: 'ERR_SOURCE_DAMAGED', retryable: false })
    await expect(counting).rejects.toThrow('6 rows of')
    expect(answers.join()).not.toContain('4111')
    await store.run(`UPDATE ${orders.place} SET "Card %" = NULL WHERE tenant_id = 'b'`)
    expect(await source.count('v1', {})).toBe(1)
  })
})

test('a page looks at a bounded number of rows, may be empty and not the last, and misses none at its ends', async () => {
  const store = at('postgres-18')
  const orders = await Orders.create(store)
  await orders.fill(v2, 'a', 1)
  const [{ card = null } = {}] = await orders.rows()
  await store.run(
    `INSERT INTO ${orders.place} (tenant_id, "Id", "Card %") SELECT 'a', n, $1 FROM generate_series(2, 17001) n`,
    [card],
  )
  const stale = [5_000, 5_001, 15_001, 17_001]
  for (const id of stale) await orders.set('a', id, await v1.wrap('x', contextOf('a', String(id))))
  const { found, pages } = await everything(orders.source(), 'v2', 1_000)
  expect(found.map(({ id }) => id)).toEqual(stale.map((id) => JSON.stringify(['a', String(id)])))
  expect(pages).toEqual([1, 1, 0, 2])
  // The last page is full, and only the next one shows that nothing follows.
  expect((await everything(orders.source(), 'v2', 2)).pages).toEqual([1, 1, 0, 2, 0])
})

test('is compared byte for byte in a column whose collation ignores case', async () => {
  const store = at('postgres-15')
  const orders = await Orders.create(store)
  const schema = `"${store.schema.replaceAll('"', '""')}"`
  const collation = `${schema}.ignoring_case`
  await store.run(
    `CREATE COLLATION ${collation} (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
  )
  await store.run(`ALTER TABLE ${orders.place} ALTER "Card %" TYPE text COLLATE ${collation}`)
  await orders.fill(v1, 'a', 3)
  await store.run(
    `UPDATE ${orders.place} SET "Card %" = upper(left("Card %", 5)) || substr("Card %", 6) WHERE "Id" = 3`,
  )
  const source = orders.source()
  const { found } = await everything(source, 'v2')
  expect(found.map(({ wrap }) => wrap === null)).toEqual([false, false, true])
  const [one, two] = await Promise.all(found.slice(0, 2).map(moved))
  const otherCase = { ...two, expectedWrap: two?.expectedWrap.toUpperCase() } as SourceChange
  expect(await source.rewrap([one as SourceChange, otherCase], {})).toEqual(['done', 'changed'])
  await expect(source.count('v1', {})).rejects.toThrow('1 row of')
})

test('what a check constraint forbids is written by nobody any more, as the guide has it', async () => {
  const store = at('postgres-18')
  const orders = await Orders.create(store)
  await orders.fill(v2, 'a', 2)
  await orders.set('a', 3, null)
  const constraint = `CONSTRAINT not_v1 CHECK (split_part("Card %", ':', 3) <> 'v1')`
  await store.run(`ALTER TABLE ${orders.place} ADD ${constraint} NOT VALID`)
  await store.run(`ALTER TABLE ${orders.place} VALIDATE CONSTRAINT not_v1`)
  const late = orders.set('a', 4, await v1.wrap('late', contextOf('a', '4')))
  await expect(late).rejects.toMatchObject({ code: '23514' })
  expect(await orders.source().count('v1', {})).toBe(0)
})

test('a row that a transaction holds is waited for, not lost and not overwritten', async () => {
  const store = at('postgres-18')
  const orders = await Orders.create(store)
  await orders.fill(v1, 'a', 20)
  const source = orders.source()
  const changes = await Promise.all((await everything(source, 'v2')).found.map(moved))
  const client = await store.client()
  const newer = await v1.wrap('newer', contextOf('a', '3'))
  await client.query('BEGIN')
  await client.query(`UPDATE ${orders.place} SET "Card %" = $1 WHERE "Id" = 3`, [newer])
  await client.query(`UPDATE ${orders.place} SET note = 'same card' WHERE "Id" = 5`)
  const abort = new AbortController()
  const held = source.rewrap(changes, { signal: abort.signal }).catch((error: unknown) => error)
  await waitedFor(store, client)
  abort.abort()
  expect(await held).toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN', retryable: true })
  // What nobody held was not kept waiting.
  expect(await source.count('v2', {})).toBe(18)
  const rewrapping = source.rewrap(changes, {})
  await waitedFor(store, client)
  await client.query('COMMIT')
  const outcomes = await rewrapping
  expect([outcomes[2], outcomes[4]]).toEqual(['changed', 'done'])
  const rows = await orders.rows()
  expect(rows[2]?.card).toBe(newer)
  expect(rows.filter(({ card }) => card?.startsWith('talos:v2:v2:'))).toHaveLength(19)
})

/** Waits until a statement waits for the transaction of a client. */
async function waitedFor(store: Database, client: PoolClient): Promise<void> {
  const [holder] = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows
  const sql = 'SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))'
  await until(async () => (await store.run(sql, [holder?.pid])).length > 0)
}

test('is never part of a deadlock, whatever the order in which transactions lock rows', async () => {
  const store = at('postgres-18')
  const orders = await Orders.create(store)
  await orders.fill(v1, 'a', 60)
  const source = orders.source(store.pool())
  const changes = await Promise.all((await everything(source, 'v2')).found.map(moved))
  const pool = store.pool({ max: 4 })
  let deadlocks = 0
  const transaction = async (ids: readonly number[]): Promise<void> => {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      for (const id of ids) {
        await client.query(`UPDATE ${orders.place} SET note = 'x' WHERE tenant_id = 'a' AND "Id" = $1`, [id])
      }
      await client.query('COMMIT')
    } catch (error) {
      deadlocks += (error as { code?: unknown }).code === '40P01' ? 1 : 1_000
      await client.query('ROLLBACK')
    } finally {
      client.release()
    }
  }
  // From the last to the first, one after the other: against the order of the batch.
  const ids = Array.from({ length: 60 }, (_, index) => 60 - index)
  for (let round = 0; round < 10; round += 1) {
    const back = changes.map(({ id, expectedWrap, wrap }) => ({ id, expectedWrap: wrap, wrap: expectedWrap }))
    const batch = round % 2 === 0 ? changes : back
    const [outcomes] = await Promise.all([source.rewrap(batch, {}), transaction(ids)])
    expect(new Set(outcomes)).toEqual(new Set(['done']))
  }
  expect(deadlocks).toBe(0)
})

test.for([
  ['text', ["it's", 'a\\b', '"q"', '{x,y}', 'NULL', ' ', 'é', '1,2', 'a\nb']],
  ['varchar(9)', ['a', 'b ']],
  ['uuid', ['0193cdb1-7a2c-7000-8000-000000000001', '0193cdb1-7a2c-7000-8000-000000000002']],
  ['bigint', ['-9223372036854775808', '9', '10']],
  ['numeric', ['1.10', '-0.5', '1e40']],
  ['boolean', ['true', 'false']],
  ['date', ['2026-02-01', '2026-01-02', '2026-12-11']],
  ['timestamptz', ['2026-02-01 10:00:00.123456+00', '2026-01-02 10:00:00+05', '1970-01-01 00:00:00-11']],
  ['timestamp', ['2026-02-01 10:00:00.123456', '2026-01-02 03:00:00']],
  ['bytea', ['\\x00ff', '\\x5c27']],
  ['inet', ['10.0.0.1/8', '::1']],
  ['"Kind of order"', ['big', "it's"]],
  ['"Short text"', ['ab', 'b']],
] as const)('keys of the type %s lead through the table and back', async ([type, keys]) => {
  const store = at('postgres-18')
  const orders = await Orders.create(store)
  const schema = `"${store.schema.replaceAll('"', '""')}"`
  await store.run(`CREATE TYPE ${schema}."Kind of order" AS ENUM ('it''s', 'big')`)
  await store.run(`CREATE DOMAIN ${schema}."Short text" AS text CHECK (length(VALUE) < 3)`)
  const own = type.startsWith('"') ? `${schema}.${type}` : type
  await store.run(`CREATE TABLE ${schema}.keyed (k ${own} PRIMARY KEY, tenant text, card text)`)
  const card = await v1.wrap('x', contextOf('a', '1'))
  for (const key of keys) await store.run(`INSERT INTO ${schema}.keyed VALUES ($1, 'a', $2)`, [key, card])
  // Two instances whose sessions write and read dates differently.
  const options = ['SQL, DMY', 'German, MDY'].map((style, index) => ({
    options: `-c DateStyle=${style.replaceAll(' ', '\\ ')} -c TimeZone=${index === 0 ? 'Asia/Kolkata' : 'America/Lima'} -c bytea_output=${index === 0 ? 'hex' : 'escape'}`,
  }))
  const sources = options.map((option) =>
    envelopeTable({
      pool: store.pool({ ...option, max: 1 }),
      schema: orders.schema,
      table: 'keyed',
      key: 'k',
      columns: ['tenant'],
      envelope: 'card',
      context: ({ tenant }) => contextOf(tenant ?? '', '1'),
    }),
  )
  const seen: SourceEnvelope[] = []
  let cursor: string | null = null
  for (let turn = 0; ; turn += 1) {
    const source = sources[turn % 2] as RotatableSource
    const page: Awaited<ReturnType<RotatableSource['scan']>> = await source.scan(
      { cursor, limit: 1, exceptKekId: 'v2' },
      {},
    )
    for (const item of page.items) {
      seen.push(item)
      const other = sources[(turn + 1) % 2] as RotatableSource
      expect(await other.rewrap([await moved(item)], {})).toEqual(['done'])
    }
    if (page.next === null) break
    cursor = page.next
  }
  expect(new Set(seen.map(({ id }) => id)).size).toBe(keys.length)
  expect(await sources[0]?.count('v1', {})).toBe(0)
})

test('what its context cannot be made of is the failure of one row', async () => {
  const store = at('postgres-18')
  const orders = await Orders.create(store)
  await orders.fill(v1, 'a', 3)
  const source = envelopeTable({
    pool: store.pool(),
    schema: orders.schema,
    table: orders.table,
    key: ['tenant_id', 'Id'],
    envelope: 'Card %',
    columns: ['note', 'Id'],
    context: ({ Id, note }) => {
      if (Id === '2') throw new Error('no')
      return { order: Id, note: note ?? 'none' }
    },
  })
  expect(source.name).toBe(`${orders.schema}.${orders.table}.Card %`)
  const { found } = await everything(source, 'v2')
  expect(found.map(({ context }) => context)).toEqual([
    { order: '1', note: 'none' },
    null,
    { order: '3', note: 'none' },
  ])
})

describe('a table that cannot be read whole', () => {
  const refusal = async (
    change: (orders: Orders, store: Database) => Promise<Partial<Parameters<typeof envelopeTable>[0]>>,
  ): Promise<unknown> => {
    const store = at('postgres-18')
    const orders = await Orders.create(store)
    await orders.fill(v1, 'a', 1)
    const given = {
      pool: store.pool(),
      schema: orders.schema,
      table: orders.table,
      key: ['tenant_id', 'Id'],
      envelope: 'Card %',
      context: () => ({ a: 'b' }),
    }
    const source = envelopeTable({ ...given, ...(await change(orders, store)) })
    const error = await source.count('v1', {}).catch((thrown: unknown) => thrown)
    if (!isEnvelopeError(error)) return error
    expect([error.code, error.retryable]).toEqual(['ERR_STORE_CONFIGURATION', false])
    return error.message
  }

  test('is refused with what is wrong with it', async () => {
    expect(await refusal(async () => ({ table: 'nowhere' }))).toContain('there is no such table')
    expect(await refusal(async () => ({ envelope: 'nothing' }))).toContain('no column nothing')
    expect(await refusal(async () => ({ key: 'Id' }))).toContain('it needs a primary key')
    expect(await refusal(async () => ({ key: ['Id', 'tenant_id'] }))).toContain('on (Id, tenant_id)')
    const varchar = async (orders: Orders, store: Database) => {
      await store.run(`ALTER TABLE ${orders.place} ALTER "Card %" TYPE varchar(400)`)
      return {}
    }
    expect(await refusal(varchar)).toContain('has to be of the type text')
    const float = async (orders: Orders, store: Database) => {
      await store.run(`ALTER TABLE ${orders.place} ALTER "Id" TYPE float8`)
      return {}
    }
    expect(await refusal(float)).toContain('a column of the type float8')
    const nullable = async (orders: Orders, store: Database) => {
      await store.run(
        `ALTER TABLE ${orders.place} DROP CONSTRAINT "${orders.table.replaceAll('"', '""')}_pkey"`,
      )
      await store.run(`ALTER TABLE ${orders.place} ALTER "Id" DROP NOT NULL`)
      await store.run(`CREATE UNIQUE INDEX ON ${orders.place} (tenant_id, "Id")`)
      return {}
    }
    expect(await refusal(nullable)).toContain('NOT NULL columns')
  })

  test('is refused when row-level security hides rows, also when that began later, and where a privilege is missing', async () => {
    const store = at('postgres-18')
    const orders = await Orders.create(store)
    await orders.fill(v1, 'a', 3)
    const role = `reader_${Math.trunc(performance.now() * 1000)}`
    const schema = `"${store.schema.replaceAll('"', '""')}"`
    await store.run(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${role}`)
    const url = new URL(store.url)
    const pool = store.pool({ connectionString: undefined, ...connection(url), user: role })
    const source = orders.source(pool)
    await expect(source.count('v1', {})).rejects.toThrow('needs SELECT on the table and UPDATE on its column')
    await store.run(`GRANT SELECT, UPDATE ("Card %") ON ${orders.place} TO ${role}`)
    expect(await source.count('v1', {})).toBe(3)
    const changes = await Promise.all((await everything(source, 'v2')).found.map(moved))
    expect(await source.rewrap(changes.slice(0, 1), {})).toEqual(['done'])
    await store.run(`ALTER TABLE ${orders.place} ENABLE ROW LEVEL SECURITY`)
    await expect(source.count('v1', {})).rejects.toThrow('row-level security hides rows')
    await expect(source.scan({ cursor: null, limit: 1, exceptKekId: 'v2' }, {})).rejects.toThrow('row-level')
    await store.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })
})

function connection(url: URL): Readonly<Record<string, string | number>> {
  const host = url.searchParams.get('host') ?? url.hostname
  return { host, port: Number(url.port || 5432), database: url.pathname.slice(1), password: url.password }
}

test('is not named by what PostgreSQL cannot take, and asked for no id that it has not answered', async () => {
  const pool = at('postgres-18').pool()
  const make = (change: object) => () =>
    envelopeTable({ pool, table: 't', key: 'id', envelope: 'e', context: () => ({}), ...change })
  for (const wrong of [
    { table: '' },
    { table: 'a\0b' },
    { schema: 'x'.repeat(64) },
    { envelope: 7 },
    { key: [] },
    { key: ['id', 'id'] },
    { key: 'e' },
    { columns: ['\n'] },
    { context: undefined },
  ]) {
    expect(make(wrong)).toThrow(TypeError)
  }
  expect(() => envelopeIndexSql({ table: '', envelope: 'e' })).toThrow(TypeError)
  const source = make({})()
  for (const id of ['', '7', '{}', '[]', '[1]', '["a","b"]', '[null]']) {
    await expect(source.rewrap([{ id, expectedWrap: 'a', wrap: 'b' }], {})).rejects.toThrow(TypeError)
    await expect(source.scan({ cursor: id, limit: 1, exceptKekId: 'v1' }, {})).rejects.toThrow(TypeError)
  }
})

test('is counted by the index that envelopeIndexSql prints', async () => {
  const store = at('postgres-15')
  const orders = await Orders.create(store)
  await orders.fill(v1, 'a', 50)
  const column = { table: orders.table, schema: orders.schema, envelope: 'Card %' }
  await store.run(envelopeIndexSql(column, { concurrently: true }))
  // Small tables are read as a whole whatever there is.
  const { pool, asked } = overheard(store.pool({ options: '-c enable_seqscan=off', max: 1 }))
  expect(await orders.source(pool).count('v1', {})).toBe(50)
  const { text = '', values = [] } = asked.find((query) => query.text.includes('AS damaged')) ?? {}
  const client = await pool.connect()
  const { rows } = await client.query({ text: `EXPLAIN ${text}`, values })
  client.release()
  const plan = JSON.stringify(rows)
  expect(plan).toMatch(/Index Scan (on|using).*case_idx/)
  expect(plan).not.toContain('Seq Scan')
})
