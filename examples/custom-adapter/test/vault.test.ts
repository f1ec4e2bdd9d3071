import { randomBytes } from 'node:crypto'
import { explicitKeys, openVault, type SecretVault } from '@talos/envelope'
import { createPool, type Pool } from 'mysql2/promise'
import { expect, onTestFinished, test, vi } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { type MariadbStore, mariadbStore } from '../mariadb-store.ts'
import { newDatabase } from './open.ts'
import { creates, record } from './records.ts'

vi.setConfig({ testTimeout: 60_000 })

const WRITERS = 16
const keks = { v1: randomBytes(32), v2: randomBytes(32) }

interface Opened {
  readonly pool: Pool
  readonly store: MariadbStore
}

async function openStore(): Promise<Opened> {
  const server = await service('mariadb')
  const pool = createPool({ uri: new URL(await newDatabase(server), server).href, connectionLimit: 30 })
  onTestFinished(() => pool.end())
  const store = mariadbStore({ pool })
  await store.migrate()
  return { pool, store }
}

async function open(store: MariadbStore, currentKekId: 'v1' | 'v2'): Promise<SecretVault> {
  const keys = explicitKeys({ currentKekId, keks })
  const vault = await openVault({ store, keys, namespace: 'custom-adapter' })
  onTestFinished(() => vault.close())
  return vault
}

/** Writes without pause through 16 writers until the body has ended; answers how many writes there were. */
async function amongWriters(
  write: (writer: number, turn: number) => Promise<void>,
  body: () => Promise<void>,
) {
  let over = false
  let writes = 0
  const started = Array.from({ length: WRITERS }, () => Promise.withResolvers<void>())
  const writers = started.map(async ({ resolve }, writer) => {
    for (let turn = 0; !over; turn++) {
      await write(writer, turn)
      writes += 1
      resolve()
    }
  })
  try {
    await Promise.race([Promise.all(started.map(({ promise }) => promise)), Promise.all(writers)])
    await body()
  } finally {
    over = true
    await Promise.all(writers)
  }
  return writes
}

test('a vault keeps secrets in MariaDB, promotes a KEK under 16 writers and rotates to the end', async () => {
  const { store } = await openStore()
  const former = await open(store, 'v1')
  await expect(former.put('openai/prod', 'sk-live-example')).resolves.toEqual({
    outcome: 'created',
    version: 1,
  })
  const names = Array.from({ length: 300 }, (_, index) => `provider/${index}`)
  for (const name of names) await former.put(name, `value of ${name}`)

  let fenceMs = 0
  const timed: MariadbStore = {
    ...store,
    writeDocument: async (key, revision, value, options) => {
      const begun = performance.now()
      const answer = await store.writeDocument(key, revision, value, options)
      if (key === 'keyring') fenceMs = performance.now() - begun
      return answer
    },
  }
  let promotionMs = 0
  const writes = await amongWriters(
    async (writer) => {
      await former.put(`writer/${writer}`, 'a value')
    },
    async () => {
      const begun = performance.now()
      const next = await open(timed, 'v2')
      await vi.waitUntil(async () => (await next.status()).currentKekId === 'v2', { timeout: 30_000 })
      promotionMs = performance.now() - begun
    },
  )
  console.log(
    `MariaDB: promotion under ${WRITERS} writers ${promotionMs.toFixed(0)} ms from opening the vault, ` +
      `of which ${fenceMs.toFixed(1)} ms the fence; ${writes} writes meanwhile`,
  )

  const { id } = await former.rotate()
  await vi.waitUntil(async () => (await former.rotations.get(id))?.status === 'completed', {
    timeout: 60_000,
  })
  const count = names.length + 1 + WRITERS
  await expect(store.census()).resolves.toEqual(new Map([['v2', count]]))
  const [first] = await former.getMany([names[7] ?? ''])
  expect(first?.text()).toBe('value of provider/7')
  expect((await former.get('openai/prod'))?.kekId).toBe('v2')
})

test('a fence under 16 writers takes this long', async () => {
  const { store } = await openStore()
  const names = Array.from({ length: WRITERS }, (_, writer) => `writer/${writer}`)
  await store.writeDocument('keyring', 0, 'keyring 1')
  await store.write(1, creates(names))
  let guard = 1
  const taken: number[] = []
  const writes = await amongWriters(
    async (writer, turn) => {
      const name = names[writer] ?? ''
      const [now] = await store.read([name])
      const change = { expectedWrap: now?.wrap ?? '', secret: record(name, 'v1', turn + 1) }
      const [outcome] = await store.write(guard, [{ kind: 'rewrap', ...change }])
      expect(outcome).toMatch(/^(?:done|fenced)$/)
    },
    async () => {
      for (let turn = 0; turn < 50; turn++) {
        const begun = performance.now()
        const revision = await store.writeDocument('keyring', guard, `keyring ${guard + 1}`)
        taken.push(performance.now() - begun)
        expect(revision).toBe(guard + 1)
        guard += 1
      }
    },
  )
  taken.sort((one, other) => one - other)
  const at = (index: number) => taken[index]?.toFixed(1)
  console.log(
    `MariaDB: 50 fences under ${WRITERS} writers: median ${at(25)} ms, slowest ${at(49)} ms; ${writes} writes meanwhile`,
  )
})

test('a secret and a row of the application are written in one transaction, or neither is', async () => {
  const { pool, store } = await openStore()
  await pool.query('CREATE TABLE accounts (id INT PRIMARY KEY)')
  const vault = await open(store, 'v1')
  const connection = await pool.getConnection()
  onTestFinished(() => connection.release())
  for (const [id, end] of [
    [1, 'ROLLBACK'],
    [2, 'COMMIT'],
  ] as const) {
    await connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
    await connection.query('START TRANSACTION')
    await connection.query(`INSERT INTO accounts VALUES (${id})`)
    const view = vault.within(store.within(connection))
    await expect(view.put(`account/${id}`, 'a credential')).resolves.toEqual({
      outcome: 'created',
      version: 1,
    })
    expect((await view.get(`account/${id}`))?.text()).toBe('a credential')
    await expect(vault.get(`account/${id}`)).resolves.toBeNull()
    await connection.query(end)
  }
  await expect(vault.get('account/1')).resolves.toBeNull()
  expect((await vault.get('account/2'))?.text()).toBe('a credential')
})
