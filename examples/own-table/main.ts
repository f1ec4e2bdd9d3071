import { createCodec, environmentKeys, openVault } from '@talos/envelope'
import { postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { cardOf, createTable, ordersSource, placeOrder } from './orders.ts'

const pool = new Pool({ connectionString: process.env['DATABASE_URL'] })
pool.on('error', (error) => console.error(`an idle connection broke: ${error.message}`))
const store = postgresStore({ pool })
await store.migrate()
await createTable(pool)

// The vault first: it sees to it that the KEK is bound before anything is wrapped under it.
const orders = ordersSource(pool)
const vault = await openVault({
  store,
  keys: environmentKeys(),
  namespace: 'shop',
  declaredSources: [orders],
})
const codec = await createCodec({ keys: environmentKeys() })

const id = await placeOrder(pool, codec, { tenantId: 'acme', product: 'tea', card: '4111 1111 1111 1111' })
console.log(`order ${id}: card ending in ${(await cardOf(pool, codec, 'acme', id))?.slice(-4)}`)

const { id: operationId } = await vault.rotate()
for await (const { status, totals } of vault.rotations.follow(operationId)) {
  console.log(`rotation ${status}: ${totals.rewrapped} re-wrapped`)
}

for (const { id: kekId, state } of (await vault.status()).keks) {
  console.log(`KEK ${kekId}, ${state}: ${await orders.count(kekId, {})} cards`)
  if (state !== 'decrypt-only') continue
  const { verdict, reasons } = await vault.keks.checkRetirement(kekId, {
    acceptLossOfBackups: 'none are made',
  })
  console.log(`can ${kekId} be removed? ${verdict}`)
  for (const { message } of reasons) console.log(`- ${message}`)
}

await vault.close()
await pool.end()
