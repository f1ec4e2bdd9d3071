import { inspect } from 'node:util'
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { SecretStore } from '@talos/envelope'
import { createTable, dynamodbStore } from '@talos/envelope-dynamodb'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  type DynamodbProxy,
  openDynamodbProxy,
  type Verdict,
} from '../../../../test/proxies/dynamodb-proxy.ts'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { freePort } from '../../../../test/services/programs.ts'
import { service } from '../../../../test/services/service.ts'
import { creating, filled, rewrapping, secretOf } from '../../../../test/stored-secrets.ts'
import { LOCAL } from '../local.ts'
import { type Table, tableAt } from '../table.ts'

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
}, START_TIMEOUT_MS)

async function behindProxy(
  maxAttempts = 1,
): Promise<{ proxy: DynamodbProxy; store: SecretStore; table: Table }> {
  const table = await tableAt(url)
  const proxy = await openDynamodbProxy(url)
  onTestFinished(() => proxy.close())
  const store = table.store({ client: table.client({ endpoint: proxy.url, maxAttempts }) })
  return { proxy, store, table }
}

const answering = (verdict: Verdict, operation: RegExp) => (request: { readonly operation: string }) =>
  operation.test(request.operation) ? verdict : 'forward'

const calls: readonly (readonly [string, (store: SecretStore) => Promise<unknown>])[] = [
  ['identify', (store) => store.identify()],
  ['read', (store) => store.read(['a'])],
  ['scan', (store) => store.scan({ cursor: null, limit: 10 })],
  ['write', (store) => store.write(1, [creating('a')])],
  ['census', (store) => store.census()],
  ['readDocument', (store) => store.readDocument('keyring')],
  ['writeDocument', (store) => store.writeDocument('keyring', 0, '{}')],
  ['listDocuments', (store) => store.listDocuments({ prefix: '', cursor: null, limit: 10 })],
  ['shards', (store) => store.shards!(2)],
]

describe('of what the table and the client are not fit for', () => {
  test.for(calls)('a table that is not there is named with the line that makes it: %s', async ([, call]) => {
    const table = await tableAt(url)
    const store = dynamodbStore({ client: table.client(), table: 'not-there' })
    await expect(call(store)).rejects.toMatchObject({
      code: 'ERR_STORE_NOT_MIGRATED',
      retryable: false,
      message: "there is no table not-there; run: await createTable({ client, table: 'not-there' })",
    })
  })

  test.for(calls)('a table that belongs to something else is left alone and named: %s', async ([, call]) => {
    const table = await tableAt(url)
    const client = table.client()
    for (const [name, range] of [
      ['S', null],
      ['N', null],
      ['S', 'sort'],
    ] as const) {
      const TableName = `${table.name}-${name}-${range}`
      await client.send(
        new CreateTableCommand({
          TableName,
          AttributeDefinitions: [
            { AttributeName: name === 'N' ? 'pk' : 'id', AttributeType: name },
            ...(range === null ? [] : [{ AttributeName: range, AttributeType: 'S' as const }]),
          ],
          KeySchema: [
            { AttributeName: name === 'N' ? 'pk' : 'id', KeyType: 'HASH' },
            ...(range === null ? [] : [{ AttributeName: range, KeyType: 'RANGE' as const }]),
          ],
          BillingMode: 'PAY_PER_REQUEST',
        }),
      )
      await expect(call(dynamodbStore({ client, table: TableName }))).rejects.toMatchObject({
        code: 'ERR_STORE_CONFIGURATION',
        retryable: false,
        message: expect.stringMatching(/has another key than pk and sk, both of type S.*name another table/),
      })
      await expect(
        createTable({ client, table: TableName, pointInTimeRecovery: false }),
      ).rejects.toMatchObject({ code: 'ERR_STORE_CONFIGURATION' })
    }
  })

  test('a missing privilege is named without accounts, roles and addresses', async () => {
    const { proxy, store } = await behindProxy()
    const message =
      'User: arn:aws:iam::123456789012:user/somebody is not authorized to perform: dynamodb:ConditionCheckItem on resource: arn:aws:dynamodb:eu-central-1:123456789012:table/t because no identity-based policy allows it'
    const type = 'com.amazon.coral.service#AccessDeniedException'
    proxy.judge(answering({ type, message }, /TransactWriteItems/))
    const error = await store.write(1, [creating('a')]).catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      retryable: false,
      message: expect.stringMatching(/lacks a privilege \(dynamodb:ConditionCheckItem\).*give it the policy/),
    })
    expect(inspect(error, { depth: 9 })).not.toMatch(/123456789012|somebody/)
  })

  test.for(['UnrecognizedClientException', 'InvalidSignatureException', 'ExpiredTokenException'])(
    'credentials that DynamoDB refuses are said to be so: %s',
    async (name) => {
      const { proxy, store } = await behindProxy()
      proxy.judge(() => ({
        type: `com.amazon.coral.service#${name}`,
        message: 'The security token is invalid.',
      }))
      await expect(store.write(1, [creating('a')])).rejects.toMatchObject({
        code: 'ERR_STORE_CONFIGURATION',
        message: expect.stringContaining(`refused the client's credentials (${name})`),
      })
    },
  )

  test('a client without credentials is said to be so, and nothing was sent', async () => {
    const table = await tableAt(url)
    const credentials = () =>
      Promise.reject(Object.assign(new Error('no profile'), { name: 'CredentialsProviderError' }))
    const client = table.client({ credentials })
    await expect(table.store({ client }).write(1, [creating('a')])).rejects.toMatchObject({
      code: 'ERR_STORE_CONFIGURATION',
      message: expect.stringContaining("refused the client's credentials"),
    })
  })

  test('a request that DynamoDB takes for invalid is reported with its id and without its data', async () => {
    const { proxy, store } = await behindProxy()
    const type = 'com.amazon.coral.validate#ValidationException'
    proxy.judge(() => ({ type, message: 'The value top-secret is too long' }))
    const error = await store.write(1, [creating('a')]).catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'ERR_STORE_CONTRACT',
      retryable: false,
      cause: { name: 'ValidationException', requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    })
    expect(inspect(error, { depth: 9 })).not.toContain('top-secret')
  })

  test('names, prefixes and numbers out of bounds are misuse', () => {
    const client = new DynamoDBClient({ ...LOCAL })
    for (const wrong of [
      { table: '' },
      { table: 't', keyPrefix: '' },
      { table: 't', keyPrefix: 'a#b' },
      { table: 't', keyPrefix: 'ä' },
      { table: 't', keyPrefix: 'x'.repeat(65) },
      { table: 't', concurrency: 0 },
      { table: 't', concurrency: 65 },
    ]) {
      expect(() => dynamodbStore({ client, ...wrong })).toThrow(TypeError)
    }
    client.destroy()
  })

  test('a cursor that the store never gave is misuse', async () => {
    const store = (await tableAt(url)).store()
    for (const cursor of ['', 'x', '0.0', '1!', '0,1', 'keyring']) {
      await expect(store.scan({ cursor, limit: 1 })).rejects.toThrow(TypeError)
    }
  })
})

describe('of a table that is busy', () => {
  test.for([
    'TransactionConflict',
    'ThrottlingException',
    'ProvisionedThroughputExceededException',
    'RequestLimitExceeded',
  ] as const)(
    '%s ends in time, says certainly not written, and never that a race was lost',
    async (fault) => {
      const { proxy, store, table } = await behindProxy()
      await filled(store, 1)
      let faults = 0
      proxy.judge(() => {
        faults += 1
        // From then on no attempt is begun that has not three times as long left: none is cut short by chance.
        proxy.delay(faults === 3 ? 1_000 : 0)
        return fault
      })
      await expect(
        store.write(1, [rewrapping('n0', 'v1', 'v2')], { timeoutMs: 5_000 }),
      ).rejects.toMatchObject({
        code: 'ERR_STORE_UNAVAILABLE',
        retryable: true,
        message: expect.stringMatching(/gave up after 5000 ms: .*nothing was written/),
      })
      expect(proxy.counts().refused).toBeGreaterThan(2)
      expect((await table.store().read(['n0']))[0]?.wrap).toBe(secretOf('n0').wrap)
      let refusals = 3
      proxy.judge(() => (refusals-- > 0 ? fault : 'forward'))
      expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
    },
  )

  test.for([
    ['ThrottlingException', 'ERR_STORE_CONFIGURATION'],
    ['lose', 'ERR_STORE_OUTCOME_UNKNOWN'],
  ] as const)(
    'what the SDK repeated behind the store’s back counts: %s, then a refusal: %s',
    async ([first, code]) => {
      const { proxy, store } = await behindProxy(3)
      let attempts = 0
      const refusal = { type: 'com.amazon.coral.service#AccessDeniedException', message: 'no' }
      proxy.judge(() => (attempts++ === 0 ? first : refusal))
      await expect(store.write(1, [creating('a')])).rejects.toMatchObject({ code })
      expect(attempts).toBe(2)
    },
  )

  test('keys left out of a batch are asked for again', async () => {
    const { proxy, store } = await behindProxy()
    await filled(store, 100)
    await store.write(1, [creating('large', 'v1', 2_000)])
    proxy.limitBatches(7)
    const names = [...Array.from({ length: 99 }, (_, n) => `n${n}`), 'large']
    const read = await store.read(names)
    expect(read.map((secret) => secret?.name)).toEqual(names)
    proxy.limitBatches(0)
    await expect(store.read(names, { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
    })
  })
})

describe('of a network that fails', () => {
  test('a server that is not there: certainly not written, with default attempts too', async () => {
    const table = await tableAt(url)
    const client = table.client({ endpoint: `http://127.0.0.1:${await freePort()}` })
    await expect(table.store({ client }).write(1, [creating('a')])).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      retryable: true,
      message: expect.stringMatching(/ECONNREFUSED.*nothing was written/),
    })
  })

  test('an answer that is lost leaves the outcome unknown, and the repetition says `already`', async () => {
    const { proxy, store } = await behindProxy()
    await filled(store, 1)
    const change = rewrapping('n0', 'v1', 'v2')
    proxy.judge(() => 'lose')
    await expect(store.write(1, [change])).rejects.toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN' })
    await expect(store.read(['n0'])).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    proxy.judge(null)
    expect(await store.write(1, [change])).toEqual(['already'])
  })

  test('an answer that is lost and asked for again by the SDK is still this call’s `done`', async () => {
    const { proxy, store } = await behindProxy(3)
    await filled(store, 1)
    let lost = 0
    proxy.judge(({ operation }) => (operation === 'TransactWriteItems' && lost++ === 0 ? 'lose' : 'forward'))
    expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
    expect(lost).toBe(2)
    proxy.judge(({ operation }) => (operation === 'PutItem' && lost++ === 2 ? 'lose' : 'forward'))
    expect(await store.writeDocument('a', 0, 'x')).toBe(1)
    expect(lost).toBe(4)
  })

  test('an error of the server leaves a write’s outcome unknown', async () => {
    const { proxy, store } = await behindProxy()
    const type = 'com.amazonaws.dynamodb.v20120810#InternalServerError'
    proxy.judge(() => ({ type, message: 'Internal error', status: 500 }))
    await expect(store.write(1, [creating('a')])).rejects.toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN' })
    await expect(store.census()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
  })

  test('a call that runs out of time after its write was sent says that it does not know', async () => {
    const { proxy, store } = await behindProxy()
    await filled(store, 0)
    proxy.delay(60_000)
    const start = performance.now()
    await expect(store.write(1, [creating('a')], { timeoutMs: 150 })).rejects.toMatchObject({
      code: 'ERR_STORE_OUTCOME_UNKNOWN',
      message: expect.stringMatching(/gave up after 150 ms after its write was sent/),
    })
    await expect(store.read(['a'], { timeoutMs: 150 })).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
    })
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  test('a call that ends while the client still looks for credentials has written nothing, and never will', async () => {
    const table = await tableAt(url)
    await filled(table.store(), 0)
    const proxy = await openDynamodbProxy(url)
    onTestFinished(() => proxy.close())
    const found = Promise.withResolvers<typeof LOCAL.credentials>()
    const asked = Promise.withResolvers<void>()
    const credentials = () => {
      asked.resolve()
      return found.promise
    }
    const store = table.store({ client: table.client({ endpoint: proxy.url, credentials }) })
    const abort = new AbortController()
    const call = store.write(1, [creating('a')], { signal: abort.signal })
    call.catch(() => {})
    await asked.promise
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    found.resolve(LOCAL.credentials)
    expect(await store.read(['a'])).toEqual([null])
    expect(proxy.counts().forwarded).toBe(1)
  })

  test('a call of several transactions of which one fails does not know, also where others were refused', async () => {
    const { proxy, store } = await behindProxy()
    await filled(store, 0)
    let transactions = 0
    proxy.judge(({ operation }) =>
      operation === 'TransactWriteItems' && ++transactions === 2
        ? { type: 'com.amazon.coral.service#AccessDeniedException', message: 'no' }
        : 'forward',
    )
    const changes = Array.from({ length: 60 }, (_, n) => creating(`many-${n}`))
    await expect(store.write(1, changes)).rejects.toMatchObject({
      code: 'ERR_STORE_OUTCOME_UNKNOWN',
      retryable: true,
    })
    proxy.judge(null)
    expect(new Set(await store.write(1, changes))).toEqual(new Set(['done', 'already']))
  })

  test('a change of the keyring that could not be ended says so, and the reader ends it', async () => {
    const { proxy, store } = await behindProxy()
    await filled(store, 0)
    const enough = new AbortController()
    let conflicts = 0
    proxy.judge(({ operation, body }) => {
      if (operation !== 'UpdateItem' || !JSON.stringify(body['Key']).includes('guard#7')) return 'forward'
      conflicts += 1
      if (conflicts === 2) enough.abort()
      return 'TransactionConflict'
    })
    await expect(store.writeDocument('keyring', 1, '{}', { signal: enough.signal })).rejects.toMatchObject({
      code: 'ERR_STORE_OUTCOME_UNKNOWN',
      message: expect.stringContaining('the keyring document is at revision 2'),
    })
    // Three times as long as an answer takes is not left after the first conflict: no attempt is cut short by chance.
    proxy.delay(1_000)
    await expect(store.readDocument('keyring', { timeoutMs: 4_500 })).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
    })
    proxy.delay(0)
    proxy.judge(null)
    expect((await store.readDocument('keyring'))?.revision).toBe(2)
    expect(await store.writeDocument('keyring', 1, '{}')).toBe(2)
  })
})
