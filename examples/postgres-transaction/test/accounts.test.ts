import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { explicitKeys, openVault } from '@talos/envelope'
import { postgresStore } from '@talos/envelope-postgres'
import { Client, Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { type Accounts, connectProvider, createTable, credentialOf, disconnectProvider } from '../accounts.ts'

async function newDatabase(): Promise<string> {
  const url = await service('postgres-18')
  const name = `accounts_${randomBytes(4).toString('hex')}`
  const client = new Client(url)
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return url.replace(/[^/]*$/, name)
}

async function open(): Promise<Accounts & { readonly tenants: () => Promise<string[]> }> {
  const pool = new Pool({ connectionString: await newDatabase() })
  const store = postgresStore({ pool })
  await store.migrate()
  await createTable(pool)
  const keys = explicitKeys({ keks: { v1: randomBytes(32) }, currentKekId: 'v1' })
  const vault = await openVault({ store, keys, namespace: 'accounts' })
  onTestFinished(async () => {
    await vault.close()
    await pool.end()
  })
  const tenants = async () =>
    (await pool.query<{ tenant: string }>('SELECT tenant FROM provider_accounts ORDER BY tenant')).rows.map(
      ({ tenant }) => tenant,
    )
  return { pool, store, vault, tenants }
}

const account = { tenant: 'acme', plan: 'pro', credential: 'sk-one' }

test('an account and its credential come and go together', async () => {
  const accounts = await open()
  await connectProvider(accounts, account)
  expect([await accounts.tenants(), await credentialOf(accounts, 'acme')]).toEqual([['acme'], 'sk-one'])
  await disconnectProvider(accounts, 'acme')
  expect([await accounts.tenants(), await credentialOf(accounts, 'acme')]).toEqual([[], null])
})

test('where the row is refused the credential is not replaced, and the other way round', async () => {
  const accounts = await open()
  await connectProvider(accounts, account)
  await expect(connectProvider(accounts, { ...account, credential: 'sk-two' })).rejects.toThrow(
    /duplicate key/,
  )
  expect(await credentialOf(accounts, 'acme')).toBe('sk-one')
  const tooLong = { tenant: 'big', plan: 'pro', credential: 'x'.repeat(70_000) }
  await expect(connectProvider(accounts, tooLong)).rejects.toMatchObject({ code: 'ERR_VALUE_TOO_LARGE' })
  expect(await accounts.tenants()).toEqual(['acme'])
})

test('many accounts may be made and removed at once', async () => {
  const accounts = await open()
  const tenants = Array.from({ length: 40 }, (_, n) => `tenant-${n}`)
  await Promise.all(tenants.map((tenant) => connectProvider(accounts, { ...account, tenant })))
  await Promise.all(tenants.slice(20).map((tenant) => disconnectProvider(accounts, tenant)))
  const left = await accounts.tenants()
  expect(left).toEqual(tenants.slice(0, 20).toSorted())
  const names: string[] = []
  for await (const { name } of accounts.vault.list()) names.push(name)
  expect(names.toSorted()).toEqual(left.map((tenant) => `openai/${tenant}`))
})

test('the program runs as its page says', async () => {
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: await newDatabase(),
    TALOS_KEK_v1: randomBytes(32).toString('base64url'),
    TALOS_CURRENT_KEK_ID: 'v1',
  }
  const main = fileURLToPath(new URL('../main.ts', import.meta.url))
  const ended = spawnSync(process.execPath, ['--conditions=@talos/source', main], { env, encoding: 'utf8' })
  expect(ended.stderr).toBe('')
  expect(ended.stdout.split('\n').map((line) => line.replace(/:.*(true|duplicate key).*/, ': $1'))).toEqual([
    'connected: true',
    'a second time: duplicate key',
    'disconnected: true',
    '',
  ])
})
