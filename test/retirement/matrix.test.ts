import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { STORE_CHECKS } from '@talos/envelope-conformance'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { START_TIMEOUT_MS } from '../services/dynamodb-local.ts'
import { service } from '../services/service.ts'
import { JsonSchema } from './json-schema.ts'
import {
  ALL_HOLD,
  CLAUSES,
  cells,
  FENCE_CHECKS,
  gaps,
  MATRIX,
  STORES,
  type StoreName,
  scenarios,
} from './matrix.ts'
import { ownServers, sceneOn } from './places.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: START_TIMEOUT_MS })

const schema = JsonSchema.read('docs/reference/retirement-certificate.schema.json')
const repository = join(import.meta.dirname, '../..')
const STORE_NAMES = Object.keys(STORES) as StoreName[]

beforeAll(async () => {
  await Promise.all([service('redis'), service('dynamodb'), ownServers.postgres(), ownServers.redis()])
})
afterAll(() => ownServers.stop())

describe('the matrix of reasons and stores', () => {
  test('has a scenario or a reason in words for every pair', () => {
    const pairs = cells()
    const byClause = new Map<string, boolean>()
    for (const { clause, store, cell } of pairs) {
      const pair = `${clause} ${store}`
      byClause.set(pair, (byClause.get(pair) ?? false) || 'scenarios' in cell)
    }
    const violated = [...byClause.values()].filter(Boolean).length
    console.log(
      `retirement matrix: ${byClause.size} pairs of clause and store, ${violated} violated and ${byClause.size - violated} not ` +
        `violable; ${pairs.length} pairs of reason and store, ${scenarios().length} scenarios`,
    )
    expect(gaps(MATRIX)).toEqual([])
    expect(byClause.size).toBe(Object.keys(CLAUSES).length * STORE_NAMES.length)
  })

  test('finds a pair that is in neither, or in both', () => {
    const { records_remain: row, ...rest } = MATRIX
    const { redis: _, ...three } = row.cells
    const without = { ...rest, records_remain: { ...row, cells: three } } as unknown as typeof MATRIX
    const missing = ['S1 records_remain on redis has neither a scenario nor a reason']
    expect(gaps(without)).toEqual(missing)
    const empty = { ...row, cells: { ...row.cells, redis: { scenarios: [] } } }
    expect(gaps({ ...rest, records_remain: empty })).toEqual(missing)
    expect(
      gaps({ ...rest, records_remain: { ...row, cells: { ...row.cells, redis: { cannot: '' } } } }),
    ).toEqual(missing)
    expect(gaps(rest)).toEqual(['S1 has no reason'])
  })

  test('has a column for every package that is a store', () => {
    const packages = readdirSync(join(repository, 'packages'))
    const stores = packages.filter((name) =>
      existsSync(join(repository, 'packages', name, `src/${name}-store.ts`)),
    )
    expect(stores.sort()).toEqual([...STORE_NAMES].sort())
  })

  test('names checks of the conformance kit that exist', () => {
    const kit = STORE_CHECKS.map(({ clause, title }) => `${clause} ${title}`)
    for (const [clause, title] of FENCE_CHECKS) expect(kit).toContain(`${clause} ${title}`)
  })
})

describe.each(STORE_NAMES)('on %s', (store) => {
  test(`says SAFE where all clauses hold: ${ALL_HOLD[store]}`, async () => {
    const scene = await sceneOn(store)
    const declaredSources = [
      { name: 'sessions', count: async () => 0 },
      { name: 'cache', maxAgeMs: 0 },
    ]
    const vault = await scene.rotated({ declaredSources })
    const certificate = await vault.keks.checkRetirement('v1')
    expect(certificate).toMatchObject({
      verdict: 'SAFE',
      reasons: [],
      storeKind: store,
      state: 'decrypt-only',
    })
    expect(schema.faults(certificate)).toEqual([])
    expect(await vault.keks.retire('v1')).toMatchObject({ verdict: 'SAFE', epoch: certificate.epoch })
    await scene.close()
    const after = await scene.open('v2', ['v2'])
    expect(await after.status()).toMatchObject({ ready: true, reasons: [], staleCounts: {} })
    expect((await after.get('a'))?.text()).toBe('x')
  })

  test.for(scenarios().filter((scenario) => scenario.store === store))(
    '$clause alone does not hold, $code: $title',
    async ({ clause, code, setUp, run }) => {
      const scene = await sceneOn(store, setUp)
      const { vault, kekId, claims = {} } = await run(scene)
      const before = await scene.store.readDocument('keyring')
      const certificate = await vault.keks.checkRetirement(kekId, claims)
      const found = new Set(certificate.reasons.map((reason) => `${reason.clause} ${reason.code}`))
      expect([...found]).toEqual([`${clause} ${code}`])
      const advises = code === 'store_advisory'
      expect(schema.faults(certificate)).toEqual([])
      expect(certificate.verdict).toBe(advises ? 'ADVISORY' : 'NOT_SAFE')
      const acceptAdvisory = 'this is no better than the store is'
      const refused = code === 'is_current' ? 'ERR_TRANSITION_REFUSED' : 'ERR_NOT_SAFE_TO_RETIRE'
      const options = advises ? claims : { ...claims, acceptAdvisory }
      await expect(vault.keks.retire(kekId, options)).rejects.toMatchObject({ code: refused })
      const after = await scene.store.readDocument('keyring')
      expect({ ...after, ageMs: null }).toEqual({ ...before, ageMs: null })
      if (!advises) return
      const { level, reasons } = await scene.store.identify()
      expect(level).toBe('advisory')
      expect(certificate.evidence.S3.reasons).toEqual(reasons)
      expect(await vault.keks.retire(kekId, { acceptAdvisory })).toMatchObject({ verdict: 'ADVISORY' })
      expect((await vault.status()).keks.find(({ id }) => id === kekId)?.state).toBe('retired')
    },
  )

  test('S2 cannot be violated by an edit either: a fenced KEK without its fence makes the document unreadable', async () => {
    const scene = await sceneOn(store)
    const vault = await scene.rotated()
    const stored = await scene.store.readDocument('keyring')
    const document = JSON.parse(stored?.value ?? '')
    document.keks.v1.fence = null
    await scene.store.writeDocument('keyring', stored?.revision ?? 0, JSON.stringify(document))
    await expect(vault.keks.checkRetirement('v1')).rejects.toMatchObject({ code: 'ERR_KEYRING_DOCUMENT' })
    await expect(vault.keks.retire('v1')).rejects.toMatchObject({ code: 'ERR_KEYRING_DOCUMENT' })
  })
})
