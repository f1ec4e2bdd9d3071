import type { Codec, EncryptionContext, RotatableSource } from '@talos/envelope'
import { envelopeIndexSql, envelopeTable } from '@talos/envelope-postgres'
import type { Pool } from 'pg'

const TABLE = { table: 'orders', envelope: 'card' }

/** The table of the application, with an index by which the retirement gate counts at once. */
export async function createTable(pool: Pool): Promise<void> {
  const { rows } = await pool.query("SELECT to_regclass('public.orders') AS orders")
  if (rows[0]?.orders !== null) return
  await pool.query(`CREATE TABLE orders (
    tenant_id text, id bigint GENERATED ALWAYS AS IDENTITY, product text NOT NULL, card text, PRIMARY KEY (tenant_id, id)
  )`)
  await pool.query(envelopeIndexSql(TABLE))
}

/** The row is part of the context, so that the card of one order is never taken for that of another. */
function contextOf(tenantId: string, id: string): EncryptionContext {
  return { table: 'orders', tenant: tenantId, order: id }
}

/** Places an order; its id, which is part of the context, is drawn first. */
export async function placeOrder(
  pool: Pool,
  codec: Codec,
  order: { readonly tenantId: string; readonly product: string; readonly card: string },
): Promise<string> {
  const { tenantId, product } = order
  const next = await pool.query("SELECT nextval(pg_get_serial_sequence('orders', 'id')) AS id")
  const id = String(next.rows[0]?.id)
  const card = await codec.wrap(order.card, contextOf(tenantId, id))
  await pool.query(
    'INSERT INTO orders (tenant_id, id, product, card) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4)',
    [tenantId, id, product, card],
  )
  return id
}

/** Reads the card of an order; `null` for none. */
export async function cardOf(pool: Pool, codec: Codec, tenantId: string, id: string): Promise<string | null> {
  const sql = 'SELECT card FROM orders WHERE tenant_id = $1 AND id = $2'
  const { rows } = await pool.query<{ card: string | null }>(sql, [tenantId, id])
  const card = rows[0]?.card ?? null
  return card === null ? null : Buffer.from(await codec.unwrap(card, contextOf(tenantId, id))).toString()
}

/** Declares the column: the gate counts it, and rotations re-wrap it. */
export function ordersSource(pool: Pool): RotatableSource {
  return envelopeTable({
    pool,
    name: 'orders',
    ...TABLE,
    key: ['tenant_id', 'id'],
    context: (row) => contextOf(row.tenant_id, row.id),
  })
}
