import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { KeySource, SecretStore } from '@talos/envelope'

/** The packages, in whatever way they were loaded. */
export interface Packages {
  readonly core: typeof import('@talos/envelope')
  readonly testing: typeof import('@talos/envelope/testing')
  readonly conformance: typeof import('@talos/envelope-conformance')
  readonly sqlite: typeof import('@talos/envelope-sqlite')
  readonly postgres: typeof import('@talos/envelope-postgres')
  readonly redis: typeof import('@talos/envelope-redis')
  readonly dynamodb: typeof import('@talos/envelope-dynamodb')
  readonly express: typeof import('@talos/envelope-express')
  readonly otel: typeof import('@talos/envelope-otel')
  readonly pgBoss: typeof import('@talos/envelope-pg-boss')
}

const TOKEN = '8pYgqXb0mTn4ZrVw2KsLdE7uHcJ1aFoQ'

/** Uses every package a little, as an application that has installed them and no Express. */
export async function tryPackages(packages: Packages): Promise<void> {
  const { core, testing, conformance, sqlite, postgres, redis, dynamodb, express, otel, pgBoss } = packages
  const keys = core.explicitKeys({
    currentKekId: 'v1',
    keks: { v1: Buffer.from(core.generateKek(), 'base64url') },
  })
  await tryCodec(core, keys)
  await tryVault(packages, keys, new core.MemoryStore())
  const database = sqlite.openSqliteDatabase(':memory:')
  const store = sqlite.sqliteStore({ database })
  await store.migrate()
  await tryVault(packages, keys, store)
  database.close()
  const check = conformance.STORE_CHECKS.find(({ clause }) => clause === 'CAS-1')
  assert.ok(check)
  await conformance.runStoreCheck(check, async () => ({
    store: new core.MemoryStore(),
    close: async () => {},
  }))
  assert.match(postgres.migrationSql(), /CREATE TABLE/)
  const client = {} as Parameters<typeof redis.redisStore>[0]['client']
  assert.equal(dynamodb.createTableInput({ table: 'secrets' }).TableName, 'secrets')
  assert.throws(() => redis.redisStore({ client, prefix: '{' }), TypeError)
  assert.equal(testing.heldClock(0).runtime.now(), 0)
  const observed = await otel.openInstrumentedVault({
    store: new core.MemoryStore(),
    keys,
    namespace: 'consumer',
  })
  assert.equal((await observed.put('openai/prod', 'a credential')).outcome, 'created')
  await observed.close()
  const boss = {} as Parameters<typeof pgBoss.pgBossRunner>[0]['boss']
  assert.throws(() => pgBoss.pgBossRunner({ boss, concurrency: 9 }), TypeError)
  assert.throws(() => express.bearerAuth({ token: 'short' }), TypeError)
  console.log('all of it works')
}

async function tryCodec(core: Packages['core'], keys: KeySource): Promise<void> {
  const codec = await core.createCodec({ keys })
  const envelope = await codec.wrap('a credential', { row: '42' })
  assert.equal(Buffer.from(await codec.unwrap(envelope, { row: '42' })).toString(), 'a credential')
  assert.equal(core.peek(envelope).kekId, 'v1')
  await assert.rejects(codec.unwrap(envelope, { row: '43' }), (error) => {
    assert.ok(error instanceof core.DecryptError && core.isEnvelopeError(error))
    return true
  })
}

async function tryVault({ core, express }: Packages, keys: KeySource, store: SecretStore): Promise<void> {
  const vault = await core.openVault({ store, keys, namespace: 'consumer' })
  await vault.put('openai/prod', 'a credential')
  const secret = await vault.get('openai/prod')
  assert.equal(secret?.text(), 'a credential')
  const router = express.adminRouter({ vault, auth: express.bearerAuth({ token: TOKEN }) })
  const server = createServer((request, response) => {
    router(request, response, () => response.writeHead(404).end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const ask = (headers: Record<string, string>) => fetch(`http://127.0.0.1:${port}/kek-status`, { headers })
  assert.equal((await ask({})).status, 401)
  const answer = await ask({ authorization: `Bearer ${TOKEN}` })
  assert.equal(answer.status, 200)
  assert.match(await answer.text(), /"v1"/)
  server.closeAllConnections()
  server.close()
  await vault.close()
}
