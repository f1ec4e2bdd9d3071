import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  UpdateContinuousBackupsCommand,
} from '@aws-sdk/client-dynamodb'
import { type CallOptions, StoreError } from '@talos/envelope'
import type { DynamodbClient } from './client.ts'
import { Deadline } from './deadline.ts'
import { Requests } from './requests.ts'
import { checkKey } from './table-key.ts'

const CREATE_TIMEOUT_MS = 120_000
const LONGEST_PAUSE_MS = 500

/** What a table is to be like. */
export interface TableOptions {
  /** The name of the table. */
  readonly table: string
  /** Whether DynamoDB refuses to delete the table until this is taken back. @defaultValue true */
  readonly deletionProtection?: boolean
}

/** Options of {@link createTable}. */
export interface CreateTableOptions extends TableOptions, CallOptions {
  readonly client: DynamodbClient
  /**
   * Whether the table can be restored to any second of the last 35 days. Emulators may not know it.
   *
   * @defaultValue true
   */
  readonly pointInTimeRecovery?: boolean
  /** @defaultValue 120_000 */
  readonly timeoutMs?: number
}

/** What `CreateTable` is given: the store's key, and capacity paid by the request. */
export function createTableInput(options: TableOptions) {
  return {
    TableName: options.table,
    AttributeDefinitions: [
      { AttributeName: 'pk', AttributeType: 'S' },
      { AttributeName: 'sk', AttributeType: 'S' },
    ],
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' },
      { AttributeName: 'sk', KeyType: 'RANGE' },
    ],
    BillingMode: 'PAY_PER_REQUEST',
    DeletionProtectionEnabled: options.deletionProtection ?? true,
  } as const satisfies CreateTableCommandInput
}

/**
 * Makes the table of a store where there is none, and waits until it can be used. May be called at every start, and by several
 * processes at once. A table that is there keeps its billing mode and deletion protection.
 *
 * @throws StoreError `ERR_STORE_CONFIGURATION` for a table with another key, and for a role that may not make one.
 */
export async function createTable(options: CreateTableOptions): Promise<void> {
  const deadline = new Deadline(options, CREATE_TIMEOUT_MS)
  const requests = new Requests(options.client, options.table)
  if (!(await isActive(requests, deadline))) {
    await create(requests, options, deadline)
    while (!(await isActive(requests, deadline))) await deadline.pause(LONGEST_PAUSE_MS)
  }
  if (options.pointInTimeRecovery ?? true) await enableRecovery(requests, deadline)
}

async function create(requests: Requests, options: CreateTableOptions, deadline: Deadline): Promise<void> {
  try {
    await requests.write(() => new CreateTableCommand(createTableInput(options)), deadline)
  } catch (error) {
    // Somebody else was first.
    if (!isNamed(error, 'ResourceInUseException')) throw error
  }
}

/** Whether the table can be used; `false` where it is missing or being made. */
async function isActive(requests: Requests, deadline: Deadline): Promise<boolean> {
  try {
    const { Table = {} } = await requests.read(
      () => new DescribeTableCommand({ TableName: requests.table }),
      deadline,
    )
    checkKey(requests.table, Table)
    return Table.TableStatus === 'ACTIVE' || Table.TableStatus === 'UPDATING'
  } catch (error) {
    if (error instanceof StoreError && error.code === 'ERR_STORE_NOT_MIGRATED') return false
    throw error
  }
}

async function enableRecovery(requests: Requests, deadline: Deadline): Promise<void> {
  for (;;) {
    try {
      await requests.write(
        () =>
          new UpdateContinuousBackupsCommand({
            TableName: requests.table,
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          }),
        deadline,
      )
      return
    } catch (error) {
      // Not to be had for a moment after a table was made.
      if (!isNamed(error, 'ContinuousBackupsUnavailableException')) throw error
    }
    await deadline.pause(LONGEST_PAUSE_MS)
  }
}

function isNamed(error: unknown, name: string): boolean {
  const { cause } = error as { cause?: { name?: unknown } }
  return cause?.name === name
}
