import { randomUUID } from 'node:crypto'
import {
  BatchGetItemCommand,
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { type DynamodbProxy, openDynamodbProxy, seeded } from '../../../../test/proxies/dynamodb-proxy.ts'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'

const TableName = `proxied-${randomUUID()}`

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
  const client = clientAt(url)
  await client.send(
    new CreateTableCommand({
      TableName,
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  )
  client.destroy()
}, START_TIMEOUT_MS)

function clientAt(endpoint: string, maxAttempts = 1): DynamoDBClient {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
  return new DynamoDBClient({ endpoint, region: 'eu-central-1', credentials, maxAttempts })
}

async function open(maxAttempts = 1): Promise<{ proxy: DynamodbProxy; client: DynamoDBClient }> {
  const proxy = await openDynamodbProxy(url)
  const client = clientAt(proxy.url, maxAttempts)
  onTestFinished(async () => {
    client.destroy()
    await proxy.close()
  })
  return { proxy, client }
}

const put = (id: string) => new PutItemCommand({ TableName, Item: { id: { S: id } } })
const get = (id: string) => new GetItemCommand({ TableName, Key: { id: { S: id } }, ConsistentRead: true })
const both = (first: string, second: string) =>
  new TransactWriteItemsCommand({
    TransactItems: [first, second].map((id) => ({ Put: { TableName, Item: { id: { S: id } } } })),
  })

test('refuses in the words of DynamoDB, before anything has taken effect', async () => {
  const { proxy, client } = await open()
  for (const fault of [
    'ThrottlingException',
    'ProvisionedThroughputExceededException',
    'RequestLimitExceeded',
  ] as const) {
    proxy.judge(() => fault)
    await expect(client.send(put('refused'))).rejects.toMatchObject({
      name: fault,
      $fault: 'client',
      $metadata: { httpStatusCode: 400 },
    })
  }
  proxy.judge(() => 'TransactionConflict')
  await expect(client.send(put('refused'))).rejects.toMatchObject({ name: 'TransactionConflictException' })
  await expect(client.send(both('refused', 'refused too'))).rejects.toMatchObject({
    name: 'TransactionCanceledException',
    CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }],
  })
  expect((await client.send(get('refused'))).Item).toBeUndefined()
  expect(proxy.counts()).toEqual({ forwarded: 1, refused: 5 })
})

test('refuses the share it is told to, and the same requests for the same seed', async () => {
  const runs: string[] = []
  for (let run = 0; run < 2; run += 1) {
    const { proxy, client } = await open()
    proxy.disturb({ rate: 0.3, random: seeded(7), faults: ['ThrottlingException'] })
    let ends = ''
    for (let n = 0; n < 200; n += 1) {
      ends += await client.send(get('none')).then(
        () => '.',
        () => 'x',
      )
    }
    runs.push(ends)
    const { refused } = proxy.counts()
    expect(refused).toBeGreaterThan(35)
    expect(refused).toBeLessThan(85)
  }
  expect(runs[0]).toBe(runs[1])
})

test('loses an answer after the write has taken effect', async () => {
  const { proxy, client } = await open()
  proxy.judge(() => 'lose')
  await expect(client.send(put('lost'))).rejects.toThrow(/hang up|ECONNRESET/)
  proxy.judge(null)
  expect((await client.send(get('lost'))).Item).toEqual({ id: { S: 'lost' } })
})

test('a repetition of the AWS SDK carries the token of the first attempt, so a lost transaction is not applied twice', async () => {
  const { proxy, client } = await open(3)
  const tokens: unknown[] = []
  proxy.judge(({ body }) => {
    tokens.push(body['ClientRequestToken'])
    return tokens.length === 1 ? 'lose' : 'forward'
  })
  await client.send(both('once', 'once too'))
  expect(tokens).toHaveLength(2)
  expect(tokens[0]).toMatch(/^[0-9a-f-]{36}$/)
  expect(tokens[1]).toBe(tokens[0])
})

test('names the keys it has left out of a batch', async () => {
  const { proxy, client } = await open()
  for (const id of ['a', 'b', 'c']) await client.send(put(id))
  proxy.limitBatches(2)
  const Keys = ['a', 'b', 'c'].map((id) => ({ id: { S: id } }))
  const { Responses, UnprocessedKeys } = await client.send(
    new BatchGetItemCommand({ RequestItems: { [TableName]: { Keys } } }),
  )
  expect(Responses?.[TableName]).toHaveLength(2)
  expect(UnprocessedKeys?.[TableName]?.Keys).toEqual([{ id: { S: 'c' } }])
})

test('keeps answers back', async () => {
  const { proxy, client } = await open()
  proxy.delay(60)
  const start = performance.now()
  await client.send(get('none'))
  expect(performance.now() - start).toBeGreaterThanOrEqual(55)
})
