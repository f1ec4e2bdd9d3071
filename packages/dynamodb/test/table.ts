import { randomBytes } from 'node:crypto'
import {
  type AttributeValue,
  DeleteItemCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  PutItemCommand,
  paginateScan,
} from '@aws-sdk/client-dynamodb'
import {
  createTable,
  type DynamodbStore,
  type DynamodbStoreOptions,
  dynamodbStore,
} from '@talos/envelope-dynamodb'
import { onTestFinished } from 'vitest'
import { LOCAL } from './local.ts'

export type Item = Record<string, AttributeValue>

/** A table of its own, with the clients opened to it. */
export class Table {
  readonly url: string
  readonly name: string
  readonly #clients: DynamoDBClient[] = []

  constructor(url: string, name = `test-${randomBytes(6).toString('hex')}`) {
    this.url = url
    this.name = name
  }

  client(config: DynamoDBClientConfig = {}): DynamoDBClient {
    const client = new DynamoDBClient({ endpoint: this.url, ...LOCAL, ...config })
    this.#clients.push(client)
    return client
  }

  /** A store on a client of its own. */
  store(options: Partial<DynamodbStoreOptions> = {}): DynamodbStore {
    return dynamodbStore({ client: options.client ?? this.client(), table: this.name, ...options })
  }

  async create(): Promise<this> {
    await createTable({
      client: this.client(),
      table: this.name,
      // The emulator has no backups.
      pointInTimeRecovery: false,
      deletionProtection: false,
    })
    return this
  }

  /** All items behind the store's back. */
  async items(): Promise<Item[]> {
    const items: Item[] = []
    const pages = paginateScan({ client: this.client() }, { TableName: this.name, ConsistentRead: true })
    for await (const { Items = [] } of pages) items.push(...Items)
    return items
  }

  async put(item: Item): Promise<void> {
    await this.client().send(new PutItemCommand({ TableName: this.name, Item: item }))
  }

  async remove({ pk, sk }: Item): Promise<void> {
    const Key = { pk: pk as AttributeValue, sk: sk as AttributeValue }
    await this.client().send(new DeleteItemCommand({ TableName: this.name, Key }))
  }

  close(): void {
    for (const client of this.#clients) client.destroy()
  }
}

/** A table whose clients are destroyed when the test is over. */
export async function tableAt(url: string): Promise<Table> {
  const table = new Table(url)
  onTestFinished(() => table.close())
  return await table.create()
}
