import { readFileSync } from 'node:fs'
import { DescribeTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { createTable, createTableInput, dynamodbStore } from '@talos/envelope-dynamodb'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openDynamodbProxy } from '../../../../test/proxies/dynamodb-proxy.ts'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'
import { creating, rewrapping, secretOf } from '../../../../test/stored-secrets.ts'
import { Table, tableAt } from '../table.ts'

const PAGE = readFileSync(new URL('../../../../docs/stores/dynamodb.md', import.meta.url), 'utf8')
const [TEMPLATE, POLICY] = [...PAGE.matchAll(/```json\n(.*?)```/gs)].map(([, json = '']) => JSON.parse(json))

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
}, START_TIMEOUT_MS)

function unmade(): Table {
  const table = new Table(url)
  onTestFinished(() => table.close())
  return table
}

describe('the table', () => {
  test('has the same key, billing and protection in CloudFormation', () => {
    const { PointInTimeRecoverySpecification, ...properties } = TEMPLATE.Resources.Secrets.Properties
    expect(properties).toEqual(createTableInput({ table: 'secrets' }))
    expect(PointInTimeRecoverySpecification).toEqual({ PointInTimeRecoveryEnabled: true })
  })

  test('is made once by many that start at the same time, and can be used when each of them goes on', async () => {
    const table = unmade()
    const start = async (): Promise<void> => {
      const client = table.client()
      await createTable({ client, table: table.name, pointInTimeRecovery: false, deletionProtection: true })
      await table.store({ client }).identify()
    }
    await Promise.all(Array.from({ length: 6 }, start))
    const { Table: made } = await table.client().send(new DescribeTableCommand({ TableName: table.name }))
    expect(made?.DeletionProtectionEnabled).toBe(true)
    expect(made?.BillingModeSummary?.BillingMode).toBe('PAY_PER_REQUEST')
  })

  test('is asked for backups, and an endpoint that has none is named', async () => {
    const table = unmade()
    const proxy = await openDynamodbProxy(url)
    onTestFinished(() => proxy.close())
    const asked: unknown[] = []
    proxy.judge(({ operation, body }) => {
      if (operation !== 'UpdateContinuousBackups') return 'forward'
      asked.push(body)
      return asked.length === 1
        ? {
            type: 'com.amazonaws.dynamodb.v20120810#ContinuousBackupsUnavailableException',
            message: 'Not yet',
          }
        : { type: 'com.amazon.coral.service#UnknownOperationException', message: '' }
    })
    await expect(
      createTable({ client: table.client({ endpoint: proxy.url }), table: table.name }),
    ).rejects.toMatchObject({ code: 'ERR_STORE_CONFIGURATION' })
    expect(asked).toHaveLength(2)
    expect(asked[1]).toEqual({
      TableName: table.name,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    })
  })

  test('is neither read nor written before the first call', async () => {
    const proxy = await openDynamodbProxy(url)
    onTestFinished(() => proxy.close())
    const client = new DynamoDBClient({ endpoint: proxy.url })
    dynamodbStore({ client, table: 'secrets' })
    await new Promise((resolve) => setImmediate(resolve))
    expect(proxy.counts()).toEqual({ forwarded: 0, refused: 0 })
    client.destroy()
  })
})

test('the policy of the page allows what the store asks for, all of it and nothing else', async () => {
  const table = await tableAt(url)
  const proxy = await openDynamodbProxy(url)
  onTestFinished(() => proxy.close())
  const asked = new Set<string>()
  const inside: Readonly<Record<string, string>> = {
    Put: 'PutItem',
    Update: 'UpdateItem',
    Delete: 'DeleteItem',
    ConditionCheck: 'ConditionCheckItem',
    Get: 'GetItem',
  }
  proxy.judge(({ operation, body }) => {
    const actions = body['TransactItems'] as readonly object[] | undefined
    if (actions === undefined) asked.add(operation)
    else for (const kind of actions.flatMap((action) => Object.keys(action))) asked.add(inside[kind] ?? kind)
    expect(JSON.stringify(body).match(/"pk":\{"S":"(?!talos#)/)).toBeNull()
    return 'forward'
  })
  const store = table.store({ client: table.client({ endpoint: proxy.url }) })
  await store.renewIncarnation()
  expect(await store.writeDocument('keyring', 0, '{}')).toBe(1)
  expect(await store.writeDocument('a', 0, 'x')).toBe(1)
  expect(await store.writeDocument('a', 1, null)).toBe(0)
  expect(await store.write(1, [creating('a'), creating('b', 'v1', 600)])).toEqual(['done', 'done'])
  expect(await store.write(2, [rewrapping('a', 'v1', 'v2')])).toEqual(['fenced'])
  expect(await store.write(1, [rewrapping('a', 'v1', 'v2')])).toEqual(['done'])
  expect(await store.write(1, [{ kind: 'delete', expectedWrap: secretOf('b').wrap, name: 'b' }])).toEqual([
    'done',
  ])
  await store.read(['a', 'b'])
  await store.scan({ cursor: null, limit: 10 })
  await store.listDocuments({ prefix: '', cursor: null, limit: 10 })
  await store.census()
  const allowed = POLICY.Statement.flatMap(({ Action }: { Action: string | string[] }) => Action)
  expect([...asked].map((operation) => `dynamodb:${operation}`).toSorted()).toEqual(allowed.toSorted())
})
