import { readFileSync } from 'node:fs'
import { PutItemCommand, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb'
import type { StoredSecret } from '@talos/envelope'
import { beforeAll, expect, test } from 'vitest'
import { Meter, type Units } from '../../../../bench/stores/dynamodb-meter.ts'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'
import { tableAt } from '../table.ts'

/** Values of 64 bytes, which make records of about 400 bytes, and of 8 KiB. */
const VALUES = { 'about 400 B': 64, '8 KiB': 8_192 } as const
const RECORDS = 1_000
const BATCH = 24
const SECRETS = 10_000_000
/** US dollars in us-east-1: for a million units on demand, and for a GB and month. */
const PRICES = { write: 0.625, read: 0.125, storage: 0.25 } as const

const PAGE = readFileSync(new URL('../../../../docs/stores/dynamodb.md', import.meta.url), 'utf8')

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
}, START_TIMEOUT_MS)

function record(n: number, valueBytes: number, kekId = 'v1'): StoredSecret {
  const meta = '{"version":1,"context":{"tenant":"acme"},"createdAt":"2026-01-01T00:00:00.000Z"}'
  return {
    name: `openai/tenant-${String(n).padStart(6, '0')}`,
    wrap: `talos:v2:${kekId}:${String(n).padStart(110, 'w')}`,
    meta,
    sealed: new Uint8Array(valueBytes + 28).fill(7),
  }
}

interface Measured {
  readonly put: Units
  readonly get: Units
  readonly rewrap: Units
  readonly rewraps: Units
  readonly delete: Units
  readonly census: Units
  /** Bytes of all items of one record, as DynamoDB counts them. */
  readonly bytes: number
}

async function measure(valueBytes: number): Promise<Measured> {
  const table = await tableAt(url)
  const client = table.client()
  const meter = new Meter(client, table.client())
  const store = table.store({ client })
  await store.writeDocument('keyring', 0, '{}')
  const unmetered = table.store()
  const secrets = Array.from({ length: RECORDS }, (_, n) => record(n, valueBytes))
  const created = secrets.map((secret) => ({ kind: 'create', secret }) as const)
  await unmetered.write(1, created, { timeoutMs: 120_000 })
  const census = await meter.cost(() => store.census())
  const batch = secrets.slice(0, BATCH).map(({ wrap }, n) => {
    return { kind: 'rewrap', expectedWrap: wrap, secret: record(n, valueBytes, 'v2') } as const
  })
  const rewraps = await meter.cost(() => store.write(1, batch))
  const one = record(RECORDS, valueBytes)
  const next = record(RECORDS, valueBytes, 'v2')
  const put = await meter.cost(() => store.write(1, [{ kind: 'create', secret: one }]))
  const get = await meter.cost(() => store.read([one.name]))
  const rewrap = await meter.cost(() =>
    store.write(1, [{ kind: 'rewrap', expectedWrap: one.wrap, secret: next }]),
  )
  const bytes = (await table.items())
    .filter((item) => `${item['pk']?.S}${item['sk']?.S}`.includes(one.name))
    .flatMap((item) => Object.entries(item))
    .reduce((sum, [name, { S, B }]) => sum + name.length + (S?.length ?? B?.length ?? 0), 0)
  const remove = { kind: 'delete', expectedWrap: next.wrap, name: one.name } as const
  return {
    put,
    get,
    rewrap,
    rewraps,
    delete: await meter.cost(() => store.write(1, [remove])),
    census,
    bytes,
  }
}

test('the page tells what each operation costs, and what ten million secrets do', async () => {
  const [small, large] = [await measure(VALUES['about 400 B']), await measure(VALUES['8 KiB'])]
  const rows = (['put', 'get', 'rewrap', 'delete'] as const).map((operation) => {
    const cell = ({ [operation]: { read, write } }: Measured) =>
      read > 0 ? `${read} read` : `${write} write`
    return `| ${operation} | ${cell(small)} | ${cell(large)} |`
  })
  const each = ({ rewraps }: Measured) => `${(rewraps.write / BATCH).toFixed(2)} write`
  rows.push(`| rewrap, ${BATCH} in a transaction | ${each(small)} | ${each(large)} |`)
  rows.push(`| census of 1,000 records | ${small.census.read} read | ${large.census.read} read |`)

  const dollars = (amount: number) => `$${amount < 1 ? amount.toFixed(2) : amount.toFixed(0)}`
  const million = (units: number) => `${((units * SECRETS) / 1e6).toFixed(1)} million`
  const cost = ({ rewraps, census, bytes }: Measured, items: number) => {
    const rotation = rewraps.write / BATCH
    const counting = census.read / RECORDS
    // Storage is billed with 100 bytes more for each item.
    const gigabytes = ((bytes + 100 * items) * SECRETS) / 1e9
    return [
      `${gigabytes.toFixed(0)} GB, ${dollars(gigabytes * PRICES.storage)} a month`,
      `${million(rotation)} write units, ${dollars((rotation * SECRETS * PRICES.write) / 1e6)}`,
      `${million(counting)} read units, ${dollars((counting * SECRETS * PRICES.read) / 1e6)}`,
    ]
  }
  const [costSmall, costLarge] = [cost(small, 1), cost(large, 2)]
  for (const [n, what] of ['storage', 'full rotation', 'census'].entries()) {
    rows.push(`| ${what} | ${costSmall[n]} | ${costLarge[n]} |`)
  }
  console.log(rows.join('\n'))
  for (const row of rows) expect(PAGE).toContain(row)
}, 180_000)

test('a rewrap of 8 KiB costs nine times less than it would if header and sealed bytes were one item', async () => {
  const table = await tableAt(url)
  const client = table.client()
  const { name, wrap, meta, sealed } = record(1, VALUES['8 KiB'])
  const Key = { pk: { S: 'one' }, sk: { S: name } }
  const Item = { ...Key, wrap: { S: wrap }, meta: { S: meta }, sealed: { B: sealed } }
  await client.send(new PutItemCommand({ TableName: table.name, Item }))
  const { ConsumedCapacity = [] } = await client.send(
    new TransactWriteItemsCommand({
      TransactItems: [
        {
          Update: {
            TableName: table.name,
            Key,
            UpdateExpression: 'SET wrap = :wrap',
            ExpressionAttributeValues: { ':wrap': { S: record(1, 1, 'v2').wrap } },
          },
        },
      ],
      ReturnConsumedCapacity: 'TOTAL',
    }),
  )
  const { rewrap } = await measure(VALUES['8 KiB'])
  // The check of a guard item is in both.
  const apart = rewrap.write - 2
  const [{ CapacityUnits = 0 } = {}] = ConsumedCapacity
  console.log(`8 KiB: ${CapacityUnits} write units in one item, ${apart} in two`)
  expect(CapacityUnits / apart).toBe(9)
}, 180_000)
