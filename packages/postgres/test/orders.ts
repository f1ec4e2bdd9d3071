import { randomBytes } from 'node:crypto'
import {
  type Codec,
  createCodec,
  type EncryptionContext,
  explicitKeys,
  type KeySource,
} from '@talos/envelope'
import { envelopeTable, type PostgresPool } from '@talos/envelope-postgres'
import type { Database } from './database.ts'

const KEKS = { v1: randomBytes(32), v2: randomBytes(32), v3: randomBytes(32) }
type KekId = keyof typeof KEKS

export const keysOf = (current: KekId, ...others: readonly KekId[]): KeySource =>
  explicitKeys({
    currentKekId: current,
    keks: Object.fromEntries([current, ...others].map((id) => [id, KEKS[id]])),
  })

/** Under v1, and under v2 with all others to open. */
export const v1: Codec = await createCodec({ keys: keysOf('v1') })
export const v2: Codec = await createCodec({ keys: keysOf('v2', 'v1', 'v3') })

export const contextOf = (tenant: string, order: string): EncryptionContext => ({
  table: 'orders',
  tenant,
  order,
})

/** A table with a composite key and names that have to be quoted. */
export class Orders {
  readonly place: string
  readonly schema: string
  readonly table = 'Orders "of" tenants'
  readonly #database: Database

  private constructor(database: Database) {
    this.#database = database
    this.schema = database.schema
    this.place = `"${database.schema.replaceAll('"', '""')}"."${this.table.replaceAll('"', '""')}"`
  }

  static async create(database: Database): Promise<Orders> {
    const orders = new Orders(database)
    await database.run(`CREATE SCHEMA IF NOT EXISTS "${database.schema.replaceAll('"', '""')}"`)
    await database.run(
      `CREATE TABLE ${orders.place} (tenant_id text, "Id" bigint, note text, "Card %" text, PRIMARY KEY (tenant_id, "Id"))`,
    )
    return orders
  }

  /** The declared source for this table. */
  source(pool: PostgresPool = this.#database.pool(), name = 'orders') {
    return envelopeTable({
      pool,
      name,
      schema: this.schema,
      table: this.table,
      key: ['tenant_id', 'Id'],
      envelope: 'Card %',
      context: (row) => contextOf(row.tenant_id, row.Id),
    })
  }

  /** Fills in orders 1 to `count` of one tenant, each with the value `card <order>`. */
  async fill(codec: Codec, tenant: string, count: number): Promise<void> {
    const ids = Array.from({ length: count }, (_, index) => index + 1)
    const envelopes = await Promise.all(
      ids.map((id) => codec.wrap(`card ${id}`, contextOf(tenant, String(id)))),
    )
    await this.#database.run(
      `INSERT INTO ${this.place} (tenant_id, "Id", "Card %") SELECT $1, * FROM unnest($2::bigint[], $3::text[])`,
      [tenant, ids, envelopes],
    )
  }

  async set(tenant: string, order: number, card: string | null): Promise<void> {
    const sql = `INSERT INTO ${this.place} (tenant_id, "Id", "Card %") VALUES ($1, $2, $3)
      ON CONFLICT (tenant_id, "Id") DO UPDATE SET "Card %" = excluded."Card %"`
    await this.#database.run(sql, [tenant, order, card])
  }

  /** All rows in the order of the key; `version` differs after every write of a row. */
  async rows(): Promise<readonly { tenant: string; order: string; card: string | null; version: string }[]> {
    return await this.#database.run(
      `SELECT tenant_id AS tenant, "Id"::text AS order, "Card %" AS card, xmin::text AS version FROM ${this.place} ORDER BY 1, "Id"`,
    )
  }
}
