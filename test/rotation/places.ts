import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SecretStore } from '@talos/envelope'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { Database } from '../../packages/postgres/test/database.ts'
import { newPrefix } from '../../packages/redis/test/clients.ts'
import { service } from '../services/service.ts'
import { newRedis, openAddress } from './open-address.ts'
import type { Address } from './protocol.ts'

export type StoreName = Address['kind']

/** The keys of a store on Redis. */
const ROLES = ['store', 'names', 'wraps', 'metas', 'sealed', 'documents', 'keys']

/** An empty store of a test's own, whose whole content can be kept and put back by its server's means. */
export interface Place {
  readonly address: Address
  readonly store: SecretStore
  /** Keeps everything that is stored now. */
  keep(as: Kept): Promise<void>
  /** Puts everything back that was kept. Nobody may be at work. */
  putBack(from: Kept): Promise<void>
  /** Every byte of every record, by name: all columns, or all fields. */
  dump(): Promise<ReadonlyMap<string, string>>
  /** Takes it away. */
  close(): Promise<void>
}

/** What was kept of a place. */
export type Kept = 'filled' | 'paused'

/** Makes a place. */
export async function placeOn(name: StoreName): Promise<Place> {
  return await PLACES[name]()
}

const PLACES: Readonly<Record<StoreName, () => Promise<Place>>> = {
  async sqlite() {
    const folder = mkdtempSync(join(tmpdir(), 'rotation-'))
    const path = join(folder, 'secrets.db')
    const database = openSqliteDatabase(path)
    const store = sqliteStore({ database })
    await store.migrate()
    const tables = ['secrets', 'sealed', 'documents']
    return {
      address: { kind: 'sqlite', path },
      store,
      async close() {
        database.close()
        rmSync(folder, { recursive: true, force: true })
      },
      async keep(as) {
        const copies = tables.map((table) => `CREATE TABLE ${as}_${table} AS SELECT * FROM talos_${table};`)
        database.exec(copies.join(''))
      },
      async putBack(from) {
        const copies = tables.map(
          (table) => `DELETE FROM talos_${table}; INSERT INTO talos_${table} SELECT * FROM ${from}_${table};`,
        )
        database.exec(`BEGIN IMMEDIATE; ${copies.join('')} COMMIT`)
      },
      async dump() {
        const rows = database
          .prepare(
            `SELECT name, s.*, hex(sealed) AS bytes FROM talos_secrets s JOIN talos_sealed d ON d.id = s.sealed_id`,
          )
          .all()
        return new Map(rows.map((row) => [String(row['name']), JSON.stringify(row)]))
      },
    }
  },

  async postgres() {
    const url = await service('postgres-18')
    const made = new Database(url)
    const { store, close } = await openAddress({ kind: 'postgres', url, schema: made.schema })
    await made.migrated({ pool: made.pool({ max: 1 }) })
    const schema = `"${made.schema.replaceAll('"', '""')}"`
    const columns = { secrets: 'name, wrap, meta, sealed', documents: 'key, value, revision, written_at' }
    return {
      address: { kind: 'postgres', url, schema: made.schema },
      store,
      async close() {
        await made.run(`DROP SCHEMA ${schema} CASCADE`)
        await made.close()
        await close()
      },
      async keep(as) {
        for (const [table, names] of Object.entries(columns))
          await made.run(`CREATE TABLE ${schema}.${as}_${table} AS SELECT ${names} FROM ${made.of(table)}`)
      },
      async putBack(from) {
        const copies = Object.entries(columns).map(
          ([table, names]) =>
            `DELETE FROM ${made.of(table)}; INSERT INTO ${made.of(table)} (${names}) SELECT ${names} FROM ${schema}.${from}_${table};`,
        )
        await made.run(`BEGIN; ${copies.join('')} COMMIT`)
      },
      async dump() {
        const rows = await made.run<{ name: string; row: string }>(
          `SELECT name, s::text AS row FROM ${made.of('secrets')} s`,
        )
        return new Map(rows.map(({ name, row }) => [name, row]))
      },
    }
  },

  async redis() {
    const { port } = new URL(await service('redis'))
    const prefix = newPrefix()
    const address = { kind: 'redis', port: Number(port), prefix } as const
    const { store, close } = await openAddress(address)
    const client = newRedis(address.port)
    return {
      address,
      store,
      async close() {
        await client.del(await client.keys(`*{${prefix}}:*`))
        client.disconnect()
        await close()
      },
      async keep(as) {
        for (const role of ROLES) await client.copy(`{${prefix}}:${role}`, `${as}{${prefix}}:${role}`)
      },
      async putBack(from) {
        await client.del(ROLES.map((role) => `{${prefix}}:${role}`))
        for (const role of ROLES) await client.copy(`${from}{${prefix}}:${role}`, `{${prefix}}:${role}`)
      },
      async dump() {
        const fields = await Promise.all(
          ['wraps', 'metas', 'sealed'].map((role) => client.hgetallBuffer(`{${prefix}}:${role}`)),
        )
        const names = Object.keys(fields[0] ?? {})
        return new Map(
          names.map((name) => [name, fields.map((field) => field[name]?.toString('hex')).join(' ')]),
        )
      },
    }
  },
}
