import {
  type KeySource,
  openVault,
  type RotatableSource,
  type RotationFailure,
  type RotationOperation,
  type SecretVault,
} from '@talos/envelope'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type ServiceName, service } from '../../../../test/services/service.ts'
import { type Database, database } from '../database.ts'
import { contextOf, keysOf, Orders, v1, v2 } from '../orders.ts'

const SERVERS: readonly ServiceName[] = ['postgres-15', 'postgres-18']
const LOSS = { acceptLossOfBackups: 'these are none' }
const ROWS = 5_000
const urls = new Map<ServiceName, string>()
beforeAll(async () => {
  await Promise.all(SERVERS.map(async (name) => urls.set(name, await service(name))))
}, 60_000)

async function open(at: Database, keys: KeySource, source: RotatableSource): Promise<SecretVault> {
  const store = at.store()
  const vault = await openVault({ store, keys, namespace: 'gateway', declaredSources: [source] })
  onTestFinished(() => vault.close())
  return vault
}

/** v2 is current, and everything is under v1 still: the orders and one secret. */
async function promoted(server: ServiceName, rows: number) {
  const at = database(urls.get(server) ?? '')
  await at.migrated()
  const orders = await Orders.create(at)
  await orders.fill(v1, 'a', rows)
  const source = orders.source()
  const before = await open(at, keysOf('v1'), source)
  await before.put('secret', 'x')
  await before.close()
  return { at, orders, source, vault: await open(at, keysOf('v2', 'v1'), source) }
}

async function rotated(vault: SecretVault): Promise<RotationOperation> {
  const { id } = await vault.rotate()
  let last: RotationOperation | null = null
  for await (const operation of vault.rotations.follow(id, { everyMs: 50 })) last = operation
  if (last === null) throw new Error('there is no such operation')
  return last
}

const codes = async (vault: SecretVault): Promise<readonly string[]> =>
  (await vault.keks.checkRetirement('v1', LOSS)).reasons
    .filter(({ weight }) => weight === 'blocks')
    .map(({ code }) => code)

describe.each(SERVERS)('a rotation on %s', (server) => {
  test('re-wraps an own table beside the secrets, and the gate blocks while one row is left', async () => {
    const { at, orders, source, vault } = await promoted(server, ROWS)
    expect(await codes(vault)).toEqual(['records_remain', 'source_holds_envelopes'])
    const beganMs = performance.now()
    const first = await rotated(vault)
    const seconds = (performance.now() - beganMs) / 1_000
    expect(first).toMatchObject({ status: 'completed', totals: { rewrapped: ROWS + 1, failed: 0 } })
    console.log(`${server}: ${ROWS} rows of an own table re-wrapped in ${seconds.toFixed(2)} s`)
    expect([await source.count('v1', {}), await source.count('v2', {})]).toEqual([0, ROWS])
    const certificate = await vault.keks.checkRetirement('v1', LOSS)
    expect(certificate.verdict).not.toBe('NOT_SAFE')
    expect(certificate.evidence.S4.sources).toEqual([
      { name: 'orders', envelopes: 0, maxAgeMs: null, fault: null },
    ])

    const written = await orders.rows()
    const second = await rotated(vault)
    expect(second).toMatchObject({ status: 'completed', totals: { rewrapped: 0, failed: 0 } })
    expect(await orders.rows()).toEqual(written)

    // A process that still writes under v1.
    await orders.set('late', 1, await v1.wrap('card 1', contextOf('late', '1')))
    const refused = await vault.keks.checkRetirement('v1', LOSS)
    expect(refused.verdict).toBe('NOT_SAFE')
    expect(refused.reasons.find(({ clause }) => clause === 'S4')?.message).toContain(
      '"orders" holds 1 envelope under KEK "v1"',
    )
    await expect(vault.keks.retire('v1', LOSS)).rejects.toMatchObject({ code: 'ERR_NOT_SAFE_TO_RETIRE' })
    expect(await rotated(vault)).toMatchObject({ status: 'completed', totals: { rewrapped: 1 } })
    const acceptAdvisory = 'the server of the tests may lose data'
    const retired = await vault.keks.retire('v1', { ...LOSS, acceptAdvisory })
    expect(retired.verdict).not.toBe('NOT_SAFE')
    await vault.close()
    const after = await open(at, keysOf('v2'), source)
    expect((await after.get('secret'))?.text()).toBe('x')
    for (const { tenant, order, card } of await orders.rows()) {
      const value = await v2.unwrap(card ?? '', contextOf(tenant, order))
      expect(Buffer.from(value).toString()).toBe(`card ${order}`)
    }
  })

  test('loses no value that is written while it runs', async () => {
    const rows = 2_000
    const { at, orders, vault } = await promoted(server, rows)
    const last = new Map<string, string>()
    let running = true
    let writes = 0
    const pool = at.pool({ max: 4 })
    // Writers of two versions of the application: one still wraps under v1.
    const writer = async (lane: number): Promise<void> => {
      for (let n = 0; running || n < 20; n += 1) {
        const order = String(1 + ((n * 7 + lane * 501) % 500) + lane * 500)
        const value = `newer ${lane} ${n}`
        const card = await (n % 2 === 0 ? v1 : v2).wrap(value, contextOf('a', order))
        await pool.query(`UPDATE ${orders.place} SET "Card %" = $1 WHERE tenant_id = 'a' AND "Id" = $2`, [
          card,
          order,
        ])
        last.set(order, value)
        writes += 1
      }
    }
    const writers = [0, 1, 2, 3].map(writer)
    const { id } = await vault.rotate()
    for await (const { pass } of vault.rotations.follow(id, { everyMs: 50 })) if (pass > 1) break
    running = false
    await Promise.all(writers)
    let ended: RotationOperation | null = null
    for await (const operation of vault.rotations.follow(id, { everyMs: 50 })) ended = operation
    expect(ended?.status).toBe('completed')
    expect(ended?.totals.failed).toBe(0)
    console.log(`${server}: ${writes} writes during a rotation of ${rows} rows`)
    await rotated(vault)
    expect(await codes(vault)).toEqual([])
    const now = await orders.rows()
    expect(now).toHaveLength(rows)
    for (const { tenant, order, card } of now) {
      const value = await v2.unwrap(card ?? '', contextOf(tenant, order))
      expect(Buffer.from(value).toString()).toBe(last.get(order) ?? `card ${order}`)
    }
  })

  test('lists what is no envelope among its failures, by its key, and re-wraps the rest', async () => {
    const { orders, vault } = await promoted(server, 40)
    await orders.set('b', 1, '4111 1111 1111 1111')
    await orders.set('b', 2, await v1.wrap('moved', contextOf('elsewhere', '2')))
    const operation = await rotated(vault)
    expect(operation).toMatchObject({ status: 'failed', totals: { rewrapped: 41, failed: 2 } })
    const failures: RotationFailure[] = []
    for await (const failure of vault.rotations.failures(operation.id)) failures.push(failure)
    expect(
      failures.map(({ source, name, reason, kekId }) => [source, name, reason, kekId]).toSorted(),
    ).toEqual([
      ['orders', '["b","1"]', 'unsupported', null],
      ['orders', '["b","2"]', 'commitment_mismatch', 'v1'],
    ])
    expect(JSON.stringify([operation, failures])).not.toContain('4111')
    expect(await codes(vault)).toEqual(['source_not_counted'])
  })
})

test('a rotation pauses, and says with which SQLSTATE, when the table refuses an update for longer than it is waited out', async () => {
  const { at, orders, vault } = await promoted('postgres-18', 30)
  const refuse = `"${at.schema.replaceAll('"', '""')}".refuse`
  await at.run(`CREATE FUNCTION ${refuse}() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'order % is closed', OLD."Id" USING ERRCODE = 'OC001'; END $$`)
  await at.run(
    `CREATE TRIGGER closed BEFORE UPDATE ON ${orders.place} FOR EACH ROW WHEN (OLD."Id" = 7) EXECUTE FUNCTION ${refuse}()`,
  )
  const { id } = await vault.rotate({ pauseAfterMs: 200 })
  let paused: RotationOperation | null = null
  let ended: RotationOperation | null = null
  for await (const operation of vault.rotations.follow(id, { everyMs: 50 })) {
    ended = operation
    if (operation.status !== 'paused' || paused !== null) continue
    paused = operation
    await at.run(`DROP TRIGGER closed ON ${orders.place}`)
    await vault.rotations.resume(id)
  }
  expect(paused).toMatchObject({ pausedBy: 'outage', lastError: { code: 'ERR_SOURCE_FAILED' } })
  expect(paused?.lastError?.message).toMatch(/"orders" .*\(code OC001\)/)
  expect(paused?.lastError?.message).not.toContain('is closed')
  expect(ended).toMatchObject({ status: 'completed', totals: { rewrapped: 31, failed: 0 } })
})
