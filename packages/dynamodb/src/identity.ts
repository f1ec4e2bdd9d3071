import { randomBytes } from 'node:crypto'
import {
  DescribeTableCommand,
  GetItemCommand,
  PutItemCommand,
  type TableDescription,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { StoreError, type StoreIdentity } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import { configuration, noTable } from './failures.ts'
import { type Item, LAYOUT_VERSION, type Layout, MAX_SEALED_BYTES, textOf } from './layout.ts'
import type { Requests } from './requests.ts'
import { checkKey } from './table-key.ts'

const STATES_IN_USE = ['ACTIVE', 'UPDATING']

/**
 * Says what the store is. Its incarnation is made of an id that is kept with the data and of the table's own id: a table that
 * was restored from a backup is a new one.
 *
 * @throws StoreError for a table that is missing, has another key, holds a newer layout or replicates in a way that has no
 * transactions.
 */
export async function identify(
  requests: Requests,
  layout: Layout,
  deadline: Deadline,
): Promise<StoreIdentity> {
  const { table } = requests
  const [description, id] = await Promise.all([
    describe(requests, deadline),
    storeId(requests, layout, deadline),
  ])
  const { TableId, CreationDateTime, Replicas = [], MultiRegionConsistency } = description
  if (Replicas.length > 0 && MultiRegionConsistency === 'STRONG') {
    throw configuration(
      `the table ${table} is a global table of multi-Region strong consistency, for which DynamoDB has no transactions; use a table of one Region`,
    )
  }
  const regions = Replicas.map(({ RegionName = 'another Region' }) => RegionName)
  const reasons =
    regions.length === 0
      ? []
      : [
          `the table is replicated to ${regions.join(', ')}: a write there is not compared with one here, the later one wins, and a Region that fails loses what it had not sent yet`,
        ]
  return {
    kind: 'dynamodb',
    // Emulators give tables no id.
    incarnation: `${id}.${TableId ?? CreationDateTime?.getTime()}`,
    level: reasons.length === 0 ? 'strong' : 'advisory',
    reasons,
    maxSealedBytes: MAX_SEALED_BYTES,
  }
}

/** Gives the data another id. */
export async function renewId(requests: Requests, layout: Layout, deadline: Deadline): Promise<void> {
  await storeId(requests, layout, deadline)
  await requests.write(
    () =>
      new UpdateItemCommand({
        TableName: requests.table,
        Key: layout.store,
        UpdateExpression: 'SET incarnation = :id',
        ExpressionAttributeValues: { ':id': { S: newId() } },
      }),
    deadline,
  )
}

/** @throws StoreError for a table that the store cannot use. */
async function describe(requests: Requests, deadline: Deadline): Promise<TableDescription> {
  const { Table = {} } = await requests.read(
    () => new DescribeTableCommand({ TableName: requests.table }),
    deadline,
  )
  checkKey(requests.table, Table)
  const { TableStatus = 'ACTIVE' } = Table
  if (TableStatus === 'DELETING') throw noTable(requests.table)
  if (!STATES_IN_USE.includes(TableStatus)) {
    throw new StoreError(
      'ERR_STORE_UNAVAILABLE',
      `the table ${requests.table} is ${TableStatus}; nothing was written`,
      { retryable: true },
    )
  }
  return Table
}

/** The id kept with the data. Whoever looks first makes it. */
async function storeId(requests: Requests, layout: Layout, deadline: Deadline): Promise<string> {
  const { Item } = await requests.read(
    () => new GetItemCommand({ TableName: requests.table, Key: layout.store, ConsistentRead: true }),
    deadline,
  )
  if (Item !== undefined) return idOf(Item, requests.table)
  const made = {
    ...layout.store,
    layout: { N: String(LAYOUT_VERSION) },
    incarnation: { S: newId() },
  }
  const answer = await requests.write(
    () =>
      new PutItemCommand({
        TableName: requests.table,
        Item: made,
        ConditionExpression: 'attribute_not_exists(incarnation)',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    deadline,
  )
  return idOf((answer.kind === 'condition' ? answer.item : undefined) ?? made, requests.table)
}

function idOf(item: Item, table: string): string {
  if (item['layout']?.N !== String(LAYOUT_VERSION)) {
    throw new StoreError(
      'ERR_STORE_NOT_MIGRATED',
      `the table ${table} holds layout ${item['layout']?.N}, this version knows ${LAYOUT_VERSION}; update @talos/envelope-dynamodb`,
    )
  }
  return textOf(item, 'incarnation') ?? ''
}

function newId(): string {
  return randomBytes(16).toString('hex')
}
