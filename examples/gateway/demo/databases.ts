import { readFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { BatchWriteItemCommand, DynamoDBClient, paginateScan } from '@aws-sdk/client-dynamodb'
import { createTable } from '@talos/envelope-dynamodb'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { DynamodbLocal } from '../../../test/services/dynamodb-local.ts'
import { PostgresServer } from '../../../test/services/postgres-server.ts'
import { npmPostgres } from '../../../test/services/programs.ts'
import { RedisServer } from '../../../test/services/redis-server.ts'

/** Where the gateways of the demo keep their secrets. */
export interface Databases {
  /** What `openStore` takes. */
  readonly database: string
  /** What the demo says of it at its start; nothing for a file. */
  readonly note: string | null
  /** Puts a copy aside, while no gateway runs, and answers what `openStore` takes for it. */
  copy(): Promise<string>
}

export const DATABASES: Readonly<Record<string, (folder: string) => Promise<Databases>>> = {
  sqlite: async (folder) => {
    const database = join(folder, 'gateway.sqlite')
    const copy = join(folder, 'before-rotation.sqlite')
    return {
      database,
      note: null,
      async copy() {
        await cp(database, copy)
        return copy
      },
    }
  },
  postgres: async () => {
    const server = await PostgresServer.start(npmPostgres())
    process.on('exit', () => endAtOnce(server))
    await run(server, 'CREATE DATABASE gateway')
    return {
      database: server.url('postgres', 'gateway'),
      note: `PostgreSQL 18 on port ${server.port}, with its data in a temporary folder`,
      async copy() {
        await run(server, 'CREATE DATABASE before_rotation TEMPLATE gateway')
        return server.url('postgres', 'before_rotation')
      },
    }
  },
  redis: async () => {
    const server = await RedisServer.start()
    process.on('exit', () => server.remove())
    return {
      database: `${server.url}/0`,
      note: `Redis on port ${server.port}, with its data in a temporary folder`,
      async copy() {
        const client = new Redis(server.port)
        for (const key of await client.keys('{talos}:*')) await client.copy(key, key, 'DB', 1)
        await client.quit()
        return `${server.url}/1`
      },
    }
  },
  dynamodb: async () => {
    const server = await DynamodbLocal.start()
    process.on('exit', () => {
      if (server.pid !== undefined) process.kill(server.pid, 'SIGKILL')
      server.remove()
    })
    const address = `dynamodb://127.0.0.1:${server.port}`
    return {
      database: `${address}/gateway`,
      note: `DynamoDB Local, AWS's emulator, on port ${server.port}, with its data in memory`,
      async copy() {
        await copyTable(server.url, 'gateway', 'before-rotation')
        return `${address}/before-rotation`
      },
    }
  },
}

/** When a process ends there is no time to wait for anything. */
function endAtOnce(server: PostgresServer): void {
  const [pid = ''] = readFileSync(join(server.data, 'postmaster.pid'), 'utf8').split('\n')
  process.kill(Number(pid), 'SIGQUIT')
  server.remove()
}

async function copyTable(endpoint: string, from: string, to: string): Promise<void> {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
  const client = new DynamoDBClient({ endpoint, region: 'local', credentials })
  await createTable({ client, table: to, pointInTimeRecovery: false, deletionProtection: false })
  // No more than a batch may hold.
  const pages = paginateScan({ client, pageSize: 25 }, { TableName: from, ConsistentRead: true })
  for await (const { Items = [] } of pages) {
    const requests = Items.map((Item) => ({ PutRequest: { Item } }))
    if (requests.length > 0)
      await client.send(new BatchWriteItemCommand({ RequestItems: { [to]: requests } }))
  }
  client.destroy()
}

async function run(server: PostgresServer, sql: string): Promise<void> {
  const client = new Client(server.url())
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
