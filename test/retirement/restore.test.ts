import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { inspectSealedKek, openKek } from '@talos/envelope'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { database } from '../../packages/postgres/test/database.ts'
import { databaseFile } from '../../packages/sqlite/test/database-file.ts'
import { PostgresServer } from '../services/postgres-server.ts'
import { debianPostgres } from '../services/programs.ts'
import { ownServers } from './places.ts'
import { ESCROW_PRIVATE_KEY, type OperatedStore, Scene } from './scene.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

/** A database that can be dumped, and put back from its dump. */
interface Dumpable {
  /** Opens a store on the database as it is now. */
  open(): Promise<{ readonly store: OperatedStore; close(): Promise<void> }>
  dump(): Promise<void>
  restore(): Promise<void>
  /** Whether the store finds out by itself that it was restored. */
  readonly notices: boolean
}

let debian: Promise<PostgresServer> | null = null
function postgres15(): Promise<PostgresServer> {
  debian ??= PostgresServer.start(debianPostgres(), { settings: { fsync: 'on' } })
  return debian
}
afterAll(async () => {
  await ownServers.stop()
  await (await debian)?.stop()
})

let databases = 0

/** A database of its own on a server, whose schema has the same name before and after. */
async function postgres(
  server: PostgresServer,
  how: Pick<Dumpable, 'dump' | 'restore'>,
  name: string,
): Promise<Dumpable> {
  const admin = database(server.url())
  await admin.run(`CREATE DATABASE ${name}`)
  const open = async () => {
    const made = database(server.url('postgres', name))
    const store = made.store({ schema: 'public' })
    await store.migrate()
    return { store, close: () => made.close() }
  }
  return { open, ...how, notices: true }
}

const DATABASES: readonly (readonly [string, () => Promise<Dumpable>])[] = [
  [
    'SQLite, by a copy of the file',
    async () => {
      const file = databaseFile()
      const copy = `${file.path}.dump`
      return {
        async open() {
          const connection = file.connect()
          const store = file.store({})
          await store.migrate()
          return { store, close: async () => connection.close() }
        },
        async dump() {
          const connection = file.connect()
          connection.exec('PRAGMA wal_checkpoint(TRUNCATE)')
          connection.close()
          copyFileSync(file.path, copy)
        },
        async restore() {
          for (const suffix of ['', '-wal', '-shm']) rmSync(file.path + suffix, { force: true })
          copyFileSync(copy, file.path)
        },
        notices: false,
      }
    },
  ],
  [
    'PostgreSQL 18, by a database made from a template',
    async () => {
      const server = await ownServers.postgres()
      databases += 1
      const name = `app${databases}`
      const admin = database(server.url())
      return await postgres(
        server,
        {
          async dump() {
            await admin.run(`CREATE DATABASE ${name}_dump TEMPLATE ${name}`)
          },
          async restore() {
            await admin.run(`DROP DATABASE ${name}`)
            await admin.run(`ALTER DATABASE ${name}_dump RENAME TO ${name}`)
          },
        },
        name,
      )
    },
  ],
  [
    'PostgreSQL 15, by pg_dump and psql',
    async () => {
      const server = await postgres15()
      databases += 1
      const name = `app${databases}`
      const admin = database(server.url())
      const file = join(server.data, `${name}.sql`)
      const to = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres', '-f', file, '-d', name]
      return await postgres(
        server,
        {
          dump: () => server.run('pg_dump', to),
          async restore() {
            await admin.run(`DROP DATABASE ${name}`)
            await admin.run(`CREATE DATABASE ${name}`)
            await server.run('psql', ['-q', '-v', 'ON_ERROR_STOP=1', ...to])
          },
        },
        name,
      )
    },
  ],
]

const NAMES = Array.from({ length: 40 }, (_, index) => `secret-${index}`)

/** All values, or the code that reading one of them gives. */
const read = async (vault: Awaited<ReturnType<Scene['open']>>): Promise<(string | undefined)[]> =>
  (await vault.getMany(NAMES)).map((secret) => secret?.text())

describe.each(DATABASES)('a dump from before a rotation, restored after the retirement: %s', (_, make) => {
  test.for(['before the promotion', 'between promotion and rotation'] as const)(
    'taken %s, asks for the retired KEK by id and fingerprint, opens with its escrow and with nothing else',
    async (taken) => {
      const dumpable = await make()
      const on = async (): Promise<Scene> => {
        const { store, close } = await dumpable.open()
        const scene = new Scene({ store, loseDocuments: async () => {} })
        ends.push(async () => {
          await scene.close()
          await close()
        })
        return scene
      }
      const ends: (() => Promise<void>)[] = []
      const end = async (): Promise<void> => {
        for (const each of ends.splice(0)) await each()
      }
      onTestFinished(end)

      const early = await on()
      const before = await early.open('v1', ['v1'])
      for (const name of NAMES) await before.put(name, `value of ${name}`)
      const sealed = await early.escrow('v1')
      await before.keks.recordEscrow(sealed)
      if (taken === 'between promotion and rotation') {
        await early.close()
        await early.open('v2', ['v1', 'v2'])
      }
      await end()
      await dumpable.dump()

      const late = await on()
      const vault = await late.open('v2', ['v1', 'v2'])
      await late.rotate(vault)
      expect(await vault.keks.retire('v1')).toMatchObject({ verdict: 'SAFE' })
      await vault.put(NAMES[0] as string, 'a later value, which the dump does not have')
      await end()
      await dumpable.restore()

      const { fingerprint } = inspectSealedKek(sealed)
      const restored = await on()
      const without = await restored.open('v2', ['v2'])
      expect(await without.status()).toMatchObject({
        ready: false,
        reasons: [{ code: 'ERR_KEK_NOT_LOADED', kekId: 'v1', fingerprint }],
      })
      expect(without.ready).toBe(false)
      await expect(without.get(NAMES[1] as string)).rejects.toMatchObject({
        code: 'ERR_KEK_NOT_LOADED',
        message: expect.stringContaining(fingerprint),
      })
      await without.close()

      const wrong = await restored.open('v2', ['v1', 'v2'], { bytes: { v1: 'v3' } })
      expect(await wrong.status()).toMatchObject({
        ready: false,
        reasons: [{ code: 'ERR_KEK_MISMATCH', kekId: 'v1', fingerprint }],
      })
      await expect(wrong.get(NAMES[1] as string)).rejects.toMatchObject({ code: 'ERR_KEK_MISMATCH' })
      expect([...(await restored.store.census())]).toEqual([['v1', NAMES.length]])
      await wrong.close()

      const escrowed = await openKek(sealed, { privateKey: ESCROW_PRIVATE_KEY })
      const right = await restored.open('v2', ['v1', 'v2'], { bytes: { v1: escrowed.kek } })
      expect(await right.status()).toMatchObject({ ready: true, reasons: [] })
      expect(await read(right)).toEqual(NAMES.map((name) => `value of ${name}`))
      await restored.rotate(right)
      if (!dumpable.notices) await restored.store.renewIncarnation()
      const { reasons } = await right.keks.checkRetirement('v1')
      // Where v2 was promoted again after the restore, v1 was fenced on the restored data.
      const isFencedBefore = taken === 'between promotion and rotation' || !dumpable.notices
      expect(reasons.map(({ code }) => code)).toEqual(isFencedBefore ? ['incarnation_changed'] : [])
      await right.confirmStore({ reason: 'restored the dump' })
      expect(await right.keks.retire('v1')).toMatchObject({ verdict: 'SAFE' })
      await right.close()

      const after = await restored.open('v2', ['v2'])
      expect(await after.status()).toMatchObject({ ready: true, staleCounts: {} })
      expect(await read(after)).toEqual(NAMES.map((name) => `value of ${name}`))
    },
  )
})
