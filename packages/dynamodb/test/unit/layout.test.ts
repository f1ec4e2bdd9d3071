import { DeleteTableCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openDynamodbProxy } from '../../../../test/proxies/dynamodb-proxy.ts'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'
import { creating, filled, rewrapping, secretOf } from '../../../../test/stored-secrets.ts'
import { type Item, type Table, tableAt } from '../table.ts'

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
}, START_TIMEOUT_MS)

const at = (items: readonly Item[], pk: string) => items.filter((item) => item['pk']?.S?.startsWith(pk))

async function setRevision(table: Table, pk: string, sk: string, revision: number): Promise<void> {
  await table.client().send(
    new UpdateItemCommand({
      TableName: table.name,
      Key: { pk: { S: pk }, sk: { S: sk } },
      UpdateExpression: 'SET revision = :revision',
      ExpressionAttributeValues: { ':revision': { N: String(revision) } },
    }),
  )
}

describe('sealed bytes', () => {
  test('lie beside the header up to 512 bytes, apart above, and move with each new value', async () => {
    const table = await tableAt(url)
    const store = table.store()
    await filled(store, 0)
    let wrap = secretOf('a').wrap
    await store.write(1, [creating('a', 'v1', 512)])
    const sizes = [513, 512, 200_000, 350_000, 28, 512]
    expect(at(await table.items(), 'talos#sealed#')).toHaveLength(0)
    for (const [n, size] of sizes.entries()) {
      const secret = { ...secretOf('a', 'v1', size), wrap: `talos:v2:v1:a${n}` }
      expect(await store.write(1, [{ kind: 'replace', expectedWrap: wrap, secret }])).toEqual(['done'])
      wrap = secret.wrap
      expect((await store.read(['a']))[0]?.sealed).toEqual(secret.sealed)
      expect(at(await table.items(), 'talos#sealed#')).toHaveLength(size > 512 ? 1 : 0)
    }
    await store.write(1, [creating('b', 'v1', 600), creating('c')])
    const deletes = ['b', 'c'].map(
      (name) => ({ kind: 'delete', expectedWrap: secretOf(name).wrap, name }) as const,
    )
    expect(await store.write(1, deletes)).toEqual(['done', 'done'])
    expect(at(await table.items(), 'talos#sealed#')).toHaveLength(0)
    expect(at(await table.items(), 'talos#secret#')).toHaveLength(1)
  })

  test('are never answered with another value’s header, whoever replaces the value meanwhile', async () => {
    const table = await tableAt(url)
    const store = table.store()
    await filled(store, 0)
    const value = (n: number) => ({
      ...secretOf('a', 'v1', n % 3 === 0 ? 100 : 600 + n),
      wrap: `talos:v2:v1:${n}`,
    })
    await store.write(1, [{ kind: 'create', secret: value(0) }])
    let written = 0
    const write = async (): Promise<void> => {
      for (let n = 1; n <= 60; n += 1) {
        await store.write(1, [{ kind: 'replace', expectedWrap: value(n - 1).wrap, secret: value(n) }])
        written = n
      }
    }
    let reads = 0
    const writing = write()
    while (written < 60) {
      const [secret] = await table.store().read(['a'])
      expect(secret?.sealed.length).toBe(value(Number(secret?.wrap.split(':')[3])).sealed.length)
      reads += 1
    }
    await writing
    expect(reads).toBeGreaterThan(5)
  })

  test('that are older than their header, as after a restore, are damage and not a value', async () => {
    const table = await tableAt(url)
    const store = table.store()
    await filled(store, 0)
    await store.write(1, [creating('a', 'v1', 600), creating('b', 'v1', 600)])
    const [old] = at(await table.items(), 'talos#sealed#a')
    const secret = { ...secretOf('a', 'v1', 700), wrap: 'talos:v2:v1:next' }
    await store.write(1, [{ kind: 'replace', expectedWrap: secretOf('a').wrap, secret }])
    await table.put(old!)
    await table.remove(at(await table.items(), 'talos#sealed#b')[0]!)
    for (const name of ['a', 'b']) {
      await expect(store.read([name])).rejects.toMatchObject({ code: 'ERR_STORE_DAMAGED', retryable: false })
    }
    expect(await store.census()).toEqual(new Map([['v1', 2]]))
    expect(
      await store.write(1, [{ kind: 'replace', expectedWrap: secret.wrap, secret: secretOf('a') }]),
    ).toEqual(['done'])
    expect((await store.read(['a']))[0]).toEqual(secretOf('a'))
  })
})

describe('guard items', () => {
  test('that are lost or behind are made good by the writer who meets one', async () => {
    const table = await tableAt(url)
    const store = table.store()
    await filled(store, 0)
    expect(await store.writeDocument('keyring', 1, '{}')).toBe(2)
    for (const guard of at(await table.items(), 'talos#guard#')) {
      if (guard['pk']?.S?.endsWith('0')) await table.remove(guard)
      else await setRevision(table, guard['pk']?.S ?? '', 'guard', 1)
    }
    expect(await store.write(2, [creating('a')])).toEqual(['done'])
    const guards = at(await table.items(), 'talos#guard#').map(({ revision }) => revision?.N)
    expect(guards).toEqual(Array.from({ length: 16 }, () => '2'))
    expect(await store.write(1, [creating('b')])).toEqual(['fenced'])
  })

  test('are moved before a listing shows a revision of the keyring, as before a read', async () => {
    const table = await tableAt(url)
    const store = table.store()
    await filled(store, 0)
    await setRevision(table, 'talos#document', 'keyring', 2)
    const { items } = await store.listDocuments({ prefix: 'key', cursor: null, limit: 10 })
    expect(items[0]?.revision).toBe(2)
    const guards = at(await table.items(), 'talos#guard#').map(({ revision }) => revision?.N)
    expect(guards).toEqual(Array.from({ length: 16 }, () => '2'))
    expect(await store.write(1, [creating('a')])).toEqual(['fenced'])
  })

  test('that are ahead of the document are damage, until renewIncarnation has made them agree', async () => {
    const table = await tableAt(url)
    const store = table.store()
    await filled(store, 1)
    await store.writeDocument('keyring', 1, '{"epoch":2}')
    await setRevision(table, 'talos#document', 'keyring', 1)
    await expect(store.write(1, [rewrapping('n0', 'v1', 'v2')])).rejects.toMatchObject({
      code: 'ERR_STORE_DAMAGED',
      message: expect.stringContaining('docs/stores/dynamodb.md'),
    })
    const { incarnation } = await store.identify()
    expect(await store.renewIncarnation()).not.toBe(incarnation)
    expect(await store.write(1, [rewrapping('n0', 'v1', 'v2')])).toEqual(['done'])
  })
})

describe('one table', () => {
  test('holds several stores and other things, which none of them sees', async () => {
    const table = await tableAt(url)
    const [one, two] = [table.store(), table.store({ keyPrefix: 'talos2' })]
    await table.put({ pk: { S: 'talos' }, sk: { S: 'somebody else' }, wrap: { S: 'talos:v2:v9:x' } })
    await filled(one, 3)
    expect(await two.write(1, [creating('a')])).toEqual(['fenced'])
    await filled(two, 2)
    expect(await one.census()).toEqual(new Map([['v1', 3]]))
    expect((await two.scan({ cursor: null, limit: 10 })).items).toHaveLength(2)
    expect((await one.identify()).incarnation).not.toBe((await two.identify()).incarnation)
    await one.writeDocument('keyring', 1, '{}')
    expect((await two.readDocument('keyring'))?.revision).toBe(1)
  })

  test('that was made anew, as by a restore, is another incarnation although its items are the same', async () => {
    const table = await tableAt(url)
    await filled(table.store(), 1)
    const { incarnation } = await table.store().identify()
    const items = await table.items()
    await table.client().send(new DeleteTableCommand({ TableName: table.name }))
    await table.create()
    for (const item of items) await table.put(item)
    expect((await table.store().identify()).incarnation).not.toBe(incarnation)
    expect(await table.store().census()).toEqual(new Map([['v1', 1]]))
  })

  test('of a newer layout is left alone', async () => {
    const table = await tableAt(url)
    await table.put({ pk: { S: 'talos#store' }, sk: { S: 'store' }, layout: { N: '2' } })
    await expect(table.store().identify()).rejects.toMatchObject({
      code: 'ERR_STORE_NOT_MIGRATED',
      message: expect.stringContaining('holds layout 2'),
    })
  })

  test.for([
    ['EVENTUAL', 'advisory'],
    ['STRONG', null],
    [undefined, 'advisory'],
  ] as const)('that is replicated with consistency %s is of level %s', async ([consistency, level]) => {
    const table = await tableAt(url)
    const proxy = await openDynamodbProxy(url)
    onTestFinished(() => proxy.close())
    proxy.change((operation, answer) => {
      const description = answer['Table'] as Record<string, unknown>
      if (operation !== 'DescribeTable') return answer
      const Replicas = [{ RegionName: 'eu-west-1', ReplicaStatus: 'ACTIVE' }]
      return { Table: { ...description, Replicas, MultiRegionConsistency: consistency } }
    })
    const store = table.store({ client: table.client({ endpoint: proxy.url }) })
    if (level === null) {
      await expect(store.identify()).rejects.toMatchObject({
        code: 'ERR_STORE_CONFIGURATION',
        message: expect.stringContaining('no transactions'),
      })
    } else {
      expect(await store.identify()).toMatchObject({
        level,
        reasons: [expect.stringContaining('replicated to eu-west-1')],
      })
    }
    expect((await table.store().identify()).level).toBe('strong')
  })
})
