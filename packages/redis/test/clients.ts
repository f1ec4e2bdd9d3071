import { randomBytes } from 'node:crypto'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { onTestFinished } from 'vitest'

type Options = Omit<RedisOptions, 'replyMapping'>

/** What a client of a test may have in common with that of an application, but for its patience. */
const QUICK: Options = { retryStrategy: () => 20 }

/** Opens clients and closes them all. */
export class Clients {
  readonly #clients: (Redis | Cluster)[] = []

  redis(port: number, options: Options = {}): Redis {
    return this.#kept(new Redis({ host: '127.0.0.1', port, ...QUICK, ...options }))
  }

  /** @param natMap - Where to reach each node instead. */
  cluster(
    port: number,
    options: Options & { readonly enableAutoPipelining?: boolean } = {},
    natMap?: Record<string, { host: string; port: number }>,
  ): Cluster {
    const { enableAutoPipelining = false, ...redisOptions } = options
    return this.#kept(
      new Cluster([{ host: '127.0.0.1', port }], {
        clusterRetryStrategy: () => 20,
        slotsRefreshTimeout: 2_000,
        retryDelayOnTryAgain: 5,
        retryDelayOnFailover: 20,
        enableAutoPipelining,
        redisOptions,
        ...(natMap === undefined ? {} : { natMap }),
      }),
    )
  }

  close(): void {
    for (const client of this.#clients) client.disconnect()
  }

  #kept<C extends Redis | Cluster>(client: C): C {
    // A test may end the server under it.
    client.on('error', () => {})
    this.#clients.push(client)
    return client
  }
}

/** Clients that are closed when the test is over. */
export function clients(): Clients {
  const made = new Clients()
  onTestFinished(() => made.close())
  return made
}

/** A prefix of keys that no other test has. */
export function newPrefix(): string {
  return `test-${randomBytes(6).toString('hex')}`
}
