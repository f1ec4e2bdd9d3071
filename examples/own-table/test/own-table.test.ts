import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { createCodec, explicitKeys, MemoryStore, openVault, type SecretVault } from '@talos/envelope'
import { Client, Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { cardOf, createTable, ordersSource, placeOrder } from '../orders.ts'
import { notesSource } from '../sqlite-source.ts'

const keks = { v1: randomBytes(32), v2: randomBytes(32) }

async function newDatabase(): Promise<string> {
  const url = await service('postgres-18')
  const name = `orders_${randomBytes(4).toString('hex')}`
  const client = new Client(url)
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return url.replace(/[^/]*$/, name)
}

function run(env: Readonly<Record<string, string>>): readonly string[] {
  const main = fileURLToPath(new URL('../main.ts', import.meta.url))
  const keys = Object.fromEntries(
    Object.entries(keks).map(([id, kek]) => [`TALOS_KEK_${id}`, kek.toString('base64url')]),
  )
  const ended = spawnSync(process.execPath, ['--conditions=@talos/source', main], {
    env: { PATH: process.env['PATH'], ...keys, ...env },
    encoding: 'utf8',
  })
  expect(ended.stderr).toBe('')
  return ended.stdout.trim().split('\n')
}

test('the program runs as its page says: the second run moves the card of the first', async () => {
  const DATABASE_URL = await newDatabase()
  const first = run({ DATABASE_URL, TALOS_CURRENT_KEK_ID: 'v1' })
  expect(first[0]).toBe('order 1: card ending in 1111')
  expect(first).toContain('rotation completed: 0 re-wrapped')
  expect(first.slice(-2)).toEqual(['KEK v1, current: 1 cards', 'KEK v2, provisioned: 0 cards'])
  const second = run({ DATABASE_URL, TALOS_CURRENT_KEK_ID: 'v2' })
  expect(second[0]).toBe('order 2: card ending in 1111')
  expect(second).toContain('rotation completed: 1 re-wrapped')
  expect(second).toContain('KEK v1, decrypt-only: 0 cards')
  // The server of the tests is set up to be fast, and says so.
  expect(second.find((line) => line.startsWith('can v1'))).toBe('can v1 be removed? ADVISORY')
  expect(second.at(-1)).toBe('KEK v2, current: 2 cards')
})

test('an order is read back, and the card of one order does not open as that of another', async () => {
  const pool = new Pool({ connectionString: await newDatabase() })
  onTestFinished(() => pool.end())
  await createTable(pool)
  await createTable(pool)
  const codec = await createCodec({ keys: explicitKeys({ keks, currentKekId: 'v1' }) })
  const order = { tenantId: 'acme', product: 'tea', card: '4111' }
  const [one, two] = [
    await placeOrder(pool, codec, order),
    await placeOrder(pool, codec, { ...order, card: '42' }),
  ]
  expect([await cardOf(pool, codec, 'acme', one), await cardOf(pool, codec, 'acme', two)]).toEqual([
    '4111',
    '42',
  ])
  expect(await cardOf(pool, codec, 'acme', '999')).toBeNull()
  expect(await ordersSource(pool).count('v1', {})).toBe(2)
  await pool.query('UPDATE orders SET card = (SELECT card FROM orders WHERE id = $1) WHERE id = $2', [
    two,
    one,
  ])
  await expect(cardOf(pool, codec, 'acme', one)).rejects.toMatchObject({ reason: 'commitment_mismatch' })
})

async function rotate(vault: SecretVault): Promise<string> {
  const { id } = await vault.rotate()
  let last = ''
  for await (const { status, totals } of vault.rotations.follow(id, { everyMs: 50 })) {
    last = `${status}: ${totals.rewrapped} re-wrapped, ${totals.failed} failed`
  }
  return last
}

test('a source written by hand is rotated and counted like the other', async () => {
  const database = new DatabaseSync(':memory:')
  database.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)')
  const before = await createCodec({ keys: explicitKeys({ keks, currentKekId: 'v1' }) })
  const insert = database.prepare('INSERT INTO notes (id, body) VALUES (?, ?)')
  for (let id = 1; id <= 2_500; id += 1) {
    insert.run(id, await before.wrap(`note ${id}`, { table: 'notes', note: String(id) }))
  }
  insert.run(3_000, null)
  const store = new MemoryStore({ level: 'strong' })
  const open = (currentKekId: 'v1' | 'v2'): Promise<SecretVault> =>
    openVault({
      store,
      namespace: 'notes',
      keys: explicitKeys({ keks, currentKekId }),
      declaredSources: [notesSource(database)],
    })
  await (await open('v1')).close()
  const vault = await open('v2')
  onTestFinished(() => vault.close())
  const claims = { acceptLossOfBackups: 'none are made' }
  expect((await vault.keks.checkRetirement('v1', claims)).reasons[0]?.message).toContain(
    'holds 2500 envelopes',
  )
  expect(await rotate(vault)).toBe('completed: 2500 re-wrapped, 0 failed')
  expect((await vault.keks.checkRetirement('v1', claims)).verdict).toBe('SAFE')
  const after = await createCodec({ keys: explicitKeys({ keks: { v2: keks.v2 }, currentKekId: 'v2' }) })
  for (const { id, body } of database.prepare('SELECT id, body FROM notes WHERE id % 500 = 0').all()) {
    if (body === null) continue
    const value = await after.unwrap(String(body), { table: 'notes', note: String(id) })
    expect(Buffer.from(value).toString()).toBe(`note ${id}`)
  }
  expect(await rotate(vault)).toBe('completed: 0 re-wrapped, 0 failed')

  insert.run(4_000, 'dear diary')
  expect(await rotate(vault)).toBe('failed: 0 re-wrapped, 1 failed')
  const { reasons } = await vault.keks.checkRetirement('v1', claims)
  expect(reasons.map(({ code }) => code)).toEqual(['source_not_counted'])
})

test('a source written by hand loses no race', async () => {
  const database = new DatabaseSync(':memory:')
  database.exec(
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO notes VALUES (1, 'talos:v2:v1:AAAA:BBBB')",
  )
  const source = notesSource(database)
  const change = { id: '1', expectedWrap: 'talos:v2:v1:AAAA', wrap: 'talos:v2:v2:CCCC' }
  const other = { ...change, wrap: 'talos:v2:v2:DDDD' }
  expect(await source.rewrap([{ ...change, expectedWrap: 'talos:v2:v1:AAA' }], {})).toEqual(['changed'])
  expect(await source.rewrap([change, { ...change, id: '2' }], {})).toEqual(['done', 'missing'])
  expect(await source.rewrap([change], {})).toEqual(['already'])
  expect(await source.rewrap([other], {})).toEqual(['changed'])
  expect(database.prepare('SELECT body FROM notes').get()).toEqual({ body: 'talos:v2:v2:CCCC:BBBB' })
})
