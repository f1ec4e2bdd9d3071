import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { DynamodbLocal } from './dynamodb-local.ts'
import { MariadbServer } from './mariadb-server.ts'
import { PgBouncer } from './pgbouncer.ts'
import { PostgresServer } from './postgres-server.ts'
import { debianPostgres, npmPostgres } from './programs.ts'
import { RedisCluster, RedisServer } from './redis-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where a test asks for a service; see `service` in `service.ts`. */
    services: string
  }
}

interface Service {
  readonly url: string
  stop(): Promise<void>
}

/** A started server, with what another service needs to know of it. */
interface PostgresService extends Service {
  readonly server: PostgresServer
}

async function postgres(starting: Promise<PostgresServer>): Promise<PostgresService> {
  const server = await starting
  return { server, url: server.url(), stop: () => server.stop() }
}

async function mariadb(starting: Promise<MariadbServer>): Promise<Service> {
  const server = await starting
  return { url: server.url(), stop: () => server.stop() }
}

/** What tests may ask for. Each is started when the first one does, so that a run of other tests starts nothing. */
class Services {
  readonly #started = new Map<string, Promise<Service>>()

  get(name: string): Promise<Service> {
    switch (name) {
      case 'postgres-15':
        // Texts in another order than that of their bytes.
        return this.#once(name, () =>
          postgres(
            PostgresServer.start(debianPostgres(), {
              initdb: ['--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en-US'],
            }),
          ),
        )
      case 'postgres-18':
        return this.#postgres18()
      case 'pgbouncer':
        return this.#once(name, async () => PgBouncer.start((await this.#postgres18()).server))
      case 'mariadb':
        return this.#once(name, () => mariadb(MariadbServer.start()))
      case 'redis':
        return this.#once(name, () => RedisServer.start())
      case 'redis-cluster':
        return this.#once(name, () => RedisCluster.start())
      case 'dynamodb':
        return this.#once(name, () => DynamodbLocal.start())
      default:
        return Promise.reject(new Error(`there is no service ${name}`))
    }
  }

  async stop(): Promise<void> {
    const services = await Promise.allSettled(this.#started.values())
    for (const service of services.toReversed()) {
      if (service.status === 'fulfilled') await service.value.stop()
    }
  }

  #postgres18(): Promise<PostgresService> {
    return this.#once('postgres-18', () => postgres(PostgresServer.start(npmPostgres())))
  }

  #once<S extends Service>(name: string, start: () => Promise<S>): Promise<S> {
    const started = this.#started.get(name) ?? start()
    this.#started.set(name, started)
    return started as Promise<S>
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const services = new Services()
  const desk = createServer((request, response) => {
    services.get((request.url ?? '').slice(1)).then(
      ({ url }) => response.end(url),
      (error: unknown) => {
        response.statusCode = 500
        response.end(error instanceof Error ? error.message : String(error))
      },
    )
  })
  desk.listen(0, '127.0.0.1')
  await once(desk, 'listening')
  project.provide('services', `http://127.0.0.1:${(desk.address() as AddressInfo).port}`)
  return async () => {
    desk.close()
    desk.closeAllConnections()
    await services.stop()
  }
}
