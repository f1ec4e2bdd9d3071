import { randomBytes } from 'node:crypto'
import { redisStore } from '@talos/envelope-redis'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { onTestFinished } from 'vitest'
import { tableAt } from '../../packages/dynamodb/test/table.ts'
import { database } from '../../packages/postgres/test/database.ts'
import { clients, newPrefix } from '../../packages/redis/test/clients.ts'
import { databaseFile } from '../../packages/sqlite/test/database-file.ts'
import { PostgresServer } from '../services/postgres-server.ts'
import { npmPostgres } from '../services/programs.ts'
import { RedisServer } from '../services/redis-server.ts'
import { service } from '../services/service.ts'
import type { StoreName } from './matrix.ts'
import { type Place, Scene } from './scene.ts'

/** `weak`: set up so that the store may lose what it acknowledged. */
export type SetUp = 'strong' | 'weak'

/** Servers that the shared ones cannot stand for, because those trade safety for speed or speed for safety. */
class OwnServers {
  #postgres: Promise<PostgresServer> | null = null
  #redis: Promise<RedisServer> | null = null

  /** PostgreSQL 18 as it comes, with fsync. */
  postgres(): Promise<PostgresServer> {
    this.#postgres ??= PostgresServer.start(npmPostgres(), { settings: { fsync: 'on' } })
    return this.#postgres
  }

  /** Redis with the durability that it comes with. */
  redis(): Promise<RedisServer> {
    this.#redis ??= RedisServer.start({ appendonly: 'no', appendfsync: 'everysec' })
    return this.#redis
  }

  async stop(): Promise<void> {
    for (const server of [this.#postgres, this.#redis]) await (await server)?.stop()
  }
}

export const ownServers = new OwnServers()

/** Opens a new, empty store of each kind. It is closed when the test is over. */
const PLACES: Readonly<Record<StoreName, (setUp: SetUp) => Promise<Place>>> = {
  async sqlite(setUp) {
    const file = databaseFile()
    const connection = setUp === 'strong' ? file.connect() : openSqliteDatabase(':memory:')
    onTestFinished(() => {
      if (connection.isOpen) connection.close()
    })
    const store = sqliteStore({ database: connection })
    await store.migrate()
    return {
      store,
      async loseDocuments(which) {
        connection.prepare(`DELETE FROM talos_documents WHERE key = coalesce(?, key)`).run(which ?? null)
      },
    }
  },

  async postgres(setUp) {
    const server = await ownServers.postgres()
    const made = database(server.url())
    const pool = made.pool(setUp === 'strong' ? {} : { options: '-c synchronous_commit=off' })
    const store = made.store({ pool })
    await store.migrate()
    return {
      store,
      async loseDocuments(which) {
        await made.run(`DELETE FROM ${made.of('documents')} WHERE key = coalesce($1, key)`, [which ?? null])
      },
    }
  },

  async redis(setUp) {
    const url = setUp === 'strong' ? await service('redis') : (await ownServers.redis()).url
    const client = clients().redis(Number(new URL(url).port))
    const prefix = newPrefix()
    onTestFinished(async () => {
      await client.del(await client.keys(`{${prefix}}:*`))
    })
    return {
      store: redisStore({ client, prefix }),
      async loseDocuments(which) {
        const documents = `{${prefix}}:documents`
        const index = `{${prefix}}:keys`
        // The empty members stay: a key that is gone as a whole is damage, which the store refuses to work on.
        const keys = (await client.zrange(index, '0', '-1')).filter((key) => key === (which ?? (key || null)))
        await client.hdel(documents, ...keys.flatMap((key) => [`r:${key}`, `v:${key}`]))
        await client.zrem(index, ...keys)
      },
    }
  },

  async dynamodb(setUp) {
    const table = await tableAt(await service('dynamodb'))
    const client = table.client()
    if (setUp === 'weak') {
      // The emulator has no global tables: only what the service says of one is put into its answer.
      client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            const answer = await next(args)
            if (commandName !== 'DescribeTableCommand') return answer
            const output = answer.output as { Table?: object }
            const Replicas = [{ RegionName: 'eu-west-1', ReplicaStatus: 'ACTIVE' }]
            return { ...answer, output: { ...output, Table: { ...output.Table, Replicas } } as never }
          },
        { step: 'initialize', name: `replica-${randomBytes(4).toString('hex')}` },
      )
    }
    return {
      store: table.store({ client }),
      async loseDocuments(which) {
        for (const item of await table.items()) {
          const isLost =
            item['pk']?.S === 'talos#document' && (which === undefined || item['sk']?.S === which)
          if (isLost) await table.remove(item)
        }
      },
    }
  },
}

/** A scene on a new store. Its instances are ended before the store is closed. */
export async function sceneOn(name: StoreName, setUp: SetUp = 'strong'): Promise<Scene> {
  const scene = new Scene(await PLACES[name](setUp))
  onTestFinished(() => scene.close())
  return scene
}
