import { environmentKeys, openVault } from '@talos/envelope'
import { createPool } from 'mysql2/promise'
import { mariadbStore } from './mariadb-store.ts'

const { DATABASE_URL: uri } = process.env
if (uri === undefined) throw new Error('DATABASE_URL is missing; set it to mysql://user@host/database')
const pool = createPool({ uri })
const store = mariadbStore({ pool })
await store.migrate()
const vault = await openVault({ store, keys: environmentKeys(), namespace: 'custom-adapter' })

console.log(await vault.put('openai/prod', 'sk-live-example'))
const secret = await vault.get('openai/prod')
console.log(`${secret} under ${secret?.kekId}`)

await vault.close()
await pool.end()
