import { environmentKeys, openVault } from '@talos/envelope'
import { postgresStore } from '@talos/envelope-postgres'
import { Pool } from 'pg'
import { connectProvider, createTable, credentialOf, disconnectProvider } from './accounts.ts'

const pool = new Pool({ connectionString: process.env['DATABASE_URL'] })
pool.on('error', (error) => console.error(`an idle connection broke: ${error.message}`))
const store = postgresStore({ pool })
await store.migrate()
await createTable(pool)
const vault = await openVault({ store, keys: environmentKeys(), namespace: 'accounts' })
const accounts = { pool, store, vault }

const account = { tenant: 'acme', plan: 'pro', credential: 'sk-example' }
await connectProvider(accounts, account)
console.log(`connected: ${(await credentialOf(accounts, 'acme')) === account.credential}`)
const again = await connectProvider(accounts, account).catch((error: unknown) => (error as Error).message)
console.log(`a second time: ${again}`)
await disconnectProvider(accounts, 'acme')
console.log(`disconnected: ${(await credentialOf(accounts, 'acme')) === null}`)

await vault.close()
await pool.end()
