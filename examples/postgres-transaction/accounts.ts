import { isEnvelopeError, type SecretVault } from '@talos/envelope'
import type { PostgresStore } from '@talos/envelope-postgres'
import type { Pool, PoolClient } from 'pg'

const ATTEMPTS = 5

export interface Accounts {
  readonly pool: Pool
  readonly store: PostgresStore
  readonly vault: SecretVault
}

/** The table of the application. */
export async function createTable(pool: Pool): Promise<void> {
  await pool.query(
    'CREATE TABLE IF NOT EXISTS provider_accounts (tenant text PRIMARY KEY, plan text NOT NULL)',
  )
}

/** Keeps an account and its credential, both or neither. */
export function connectProvider(
  accounts: Accounts,
  account: { readonly tenant: string; readonly plan: string; readonly credential: string },
): Promise<void> {
  const { tenant, plan, credential } = account
  return inTransaction(accounts.pool, async (client) => {
    await client.query('INSERT INTO provider_accounts (tenant, plan) VALUES ($1, $2)', [tenant, plan])
    const vault = accounts.vault.within(accounts.store.within(client))
    await vault.put(secretName(tenant), credential, { expectedVersion: null, context: { tenant } })
  })
}

/** Forgets an account and its credential, both or neither. */
export function disconnectProvider(accounts: Accounts, tenant: string): Promise<void> {
  return inTransaction(accounts.pool, async (client) => {
    await client.query('DELETE FROM provider_accounts WHERE tenant = $1', [tenant])
    await accounts.vault.within(accounts.store.within(client)).delete(secretName(tenant))
  })
}

/** Reads a credential; no transaction is needed for that. */
export async function credentialOf({ vault }: Accounts, tenant: string): Promise<string | null> {
  return (await vault.get(secretName(tenant), { context: { tenant } }))?.text() ?? null
}

function secretName(tenant: string): string {
  return `openai/${tenant}`
}

/** Runs steps in a transaction, from its begin again where the error says so: after one, all it did is undone. */
async function inTransaction(pool: Pool, steps: (client: PoolClient) => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await steps(client)
      await client.query('COMMIT')
      return
    } catch (error) {
      await client.query('ROLLBACK')
      if (attempt === ATTEMPTS || !isEnvelopeError(error) || !error.retryable) throw error
    } finally {
      client.release()
    }
  }
}
