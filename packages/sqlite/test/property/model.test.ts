import { fc, test } from '@fast-check/vitest'
import { type Change, MemoryStore, type SecretStore } from '@talos/envelope'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { expect } from 'vitest'

// Few names, wrap texts and values, so that calls meet each other's records all the time.
const names = ['a', 'A', 'é', 'e\u0301', '%']
const name = fc.constantFrom(...names)
const wrap = fc
  .tuple(fc.constantFrom('v1', 'v10', 'v2'), fc.integer({ min: 0, max: 2 }))
  .map(([kekId, n]) => `talos:v2:${kekId}:${n}`)
const meta = fc.constantFrom('{}', '{"é":"🔑"}')
const sealed = fc.uint8Array({ minLength: 28, maxLength: 40 })
const header = fc.record({ name, wrap, meta })
const secret = fc.record({ name, wrap, meta, sealed })
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('create' as const), secret }),
  fc.record({ kind: fc.constant('replace' as const), expectedWrap: wrap, secret }),
  fc.record({ kind: fc.constant('rewrap' as const), expectedWrap: wrap, secret: header }),
  fc.record({ kind: fc.constant('delete' as const), expectedWrap: wrap, name }),
)
const changes = fc.uniqueArray(change, {
  maxLength: 4,
  selector: (one) => (one.kind === 'delete' ? one.name : one.secret.name),
})
const revision = fc.integer({ min: 0, max: 3 })
const key = fc.constantFrom('keyring', 'Keyring', 'k')
const value = fc.constantFrom('x', 'y', null)

type Step = (store: SecretStore) => Promise<unknown>
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(revision, changes).map(
      ([guard, all]): Step =>
        (store) =>
          store.write(guard, all),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(key, revision, value)
      .filter(([of, , next]) => of !== 'keyring' || next !== null)
      .map(
        ([of, expected, next]): Step =>
          (store) =>
            store.writeDocument(of, expected, next),
      ),
  },
)

async function contents(store: SecretStore): Promise<unknown> {
  const documents = await store.listDocuments({ prefix: '', cursor: null, limit: 10 })
  return {
    secrets: await store.read(names),
    census: [...(await store.census())].sort(),
    stale: await staleNames(store),
    documents: documents.items.map(({ key: of, value: is, revision: at }) => [of, is, at]).sort(),
  }
}

async function staleNames(store: SecretStore): Promise<string[]> {
  const found: string[] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<SecretStore['scan']>> = await store.scan({
      cursor,
      limit: 2,
      exceptKekId: 'v1',
    })
    found.push(...page.items.map((item) => item.name))
    cursor = page.next
  } while (cursor !== null)
  return found.sort()
}

test.prop([fc.array(step, { maxLength: 30 })], { numRuns: 200 })(
  'any sequence of writes has the same outcomes, and leaves the same, in SQLite and in memory',
  async (steps) => {
    const database = openSqliteDatabase(':memory:')
    try {
      const model = new MemoryStore()
      const store = sqliteStore({ database })
      await store.migrate()
      for (const each of steps) expect(await each(store)).toEqual(await each(model))
      expect(await contents(store)).toEqual(await contents(model))
    } finally {
      database.close()
    }
  },
)
