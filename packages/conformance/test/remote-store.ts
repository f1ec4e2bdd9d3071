import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import {
  type CallOptions,
  type Change,
  checkChanges,
  checkDocument,
  checkNames,
  checkShard,
  MemoryStore,
  type MemoryStoreOptions,
  pageLimit,
  type SecretStore,
  StoreError,
  shardLimit,
} from '@talos/envelope'
import { type Address, type OpenStore, openCuttingProxy } from '@talos/envelope-conformance'

const MAX_SEALED_BYTES = 1_048_576 + 28

/** JSON that carries bytes and maps as well. */
const encode = (value: unknown): string =>
  `${JSON.stringify(value, (_, item) => {
    if (item instanceof Uint8Array) return { $bytes: Buffer.from(item).toString('base64') }
    return item instanceof Map ? { $map: [...item] } : item
  })}\n`
const decode = (text: string): unknown =>
  JSON.parse(text, (_, item) => {
    if (item !== null && typeof item === 'object' && '$bytes' in item) {
      return new Uint8Array(Buffer.from(item.$bytes, 'base64'))
    }
    return item !== null && typeof item === 'object' && '$map' in item ? new Map(item.$map) : item
  })

/** Serves a store to whoever connects: one line of JSON asks, one answers. */
async function serve(store: SecretStore): Promise<Address & { close(): void }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    void lineOf(socket).then(async (line) => {
      const [method, args] = decode(line) as [keyof SecretStore, never[]]
      socket.end(encode(await (store[method] as (...args: never[]) => Promise<unknown>)(...args)))
    }, ignore)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { host: '127.0.0.1', port, close }
}

const ignore = () => {}

/** Not by `for await`, which destroys the socket when it is left. */
function lineOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.setEncoding('utf8').on('data', (piece) => {
      text += piece
      if (text.endsWith('\n')) resolve(text)
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed before there was an answer')))
  })
}

/** A store behind a network, by the shortest protocol there is: a connection for each call. */
export class RemoteStore implements SecretStore {
  readonly #address: Address

  constructor(address: Address) {
    this.#address = address
  }

  identify: SecretStore['identify'] = (options) => this.call('identify', [], options)
  census: SecretStore['census'] = (options) => this.call('census', [], options)
  readDocument: SecretStore['readDocument'] = (key, options) => this.call('readDocument', [key], options)

  read: SecretStore['read'] = async (names, options) => {
    checkNames(names)
    return this.call('read', [names], options)
  }

  scan: SecretStore['scan'] = async (query, options) => {
    if (query.shard !== undefined) checkShard(query.shard)
    return this.call('scan', [{ ...query, limit: pageLimit(query.limit) }], options)
  }

  shards = async (atMost: number, options?: CallOptions): Promise<readonly string[]> =>
    this.call('shards', [shardLimit(atMost)], options)

  listDocuments: SecretStore['listDocuments'] = async (query, options) =>
    this.call('listDocuments', [{ ...query, limit: pageLimit(query.limit) }], options)

  write: SecretStore['write'] = async (guard, changes: readonly Change[], options) => {
    checkChanges(changes, MAX_SEALED_BYTES)
    return this.send(guard, changes, options)
  }

  protected send: SecretStore['write'] = (guard, changes, options) =>
    this.call('write', [guard, changes], options, 'ERR_STORE_OUTCOME_UNKNOWN')

  writeDocument: SecretStore['writeDocument'] = async (key, revision, value, options) => {
    checkDocument(key, revision, value)
    return this.call('writeDocument', [key, revision, value], options, 'ERR_STORE_OUTCOME_UNKNOWN')
  }

  /** @param lost - The code for a call that was sent and not answered. */
  protected async call<T>(
    method: keyof SecretStore,
    args: readonly unknown[],
    { signal, timeoutMs = 10_000 }: CallOptions = {},
    lost: 'ERR_STORE_UNAVAILABLE' | 'ERR_STORE_OUTCOME_UNKNOWN' = 'ERR_STORE_UNAVAILABLE',
  ): Promise<T> {
    const ended = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])])
    let code: typeof lost = 'ERR_STORE_UNAVAILABLE'
    let socket: Socket | undefined
    const cut = () => socket?.destroy()
    try {
      ended.throwIfAborted()
      socket = connect(this.#address).on('error', ignore)
      ended.addEventListener('abort', cut, { once: true })
      await once(socket, 'connect', { signal: ended })
      code = lost
      socket.write(encode([method, args]))
      return decode(await lineOf(socket)) as T
    } catch (cause) {
      throw new StoreError(code, `${method} was not answered`, { retryable: true, cause })
    } finally {
      ended.removeEventListener('abort', cut)
      socket?.destroy()
    }
  }
}

/** Opens remote stores whose clients reach the server directly, or through a proxy. */
export function openingRemote(
  Store: new (address: Address) => RemoteStore = RemoteStore,
  Backend: new (options: MemoryStoreOptions) => SecretStore = MemoryStore,
): OpenStore {
  return async () => {
    const server = await serve(new Backend({ recordsPerShard: 1 }))
    const proxy = await openCuttingProxy(server)
    return {
      store: new Store(proxy),
      another: async () => new Store(server),
      proxied: async () => ({ store: new Store(proxy), proxy }),
      async outage() {
        proxy.interrupt()
        return async () => proxy.resume()
      },
      async close() {
        await proxy.close()
        server.close()
      },
    }
  }
}
