import { connect, createServer, type Socket } from 'node:net'

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** A TCP proxy on the loopback interface that can lose an answer after the server has given it. */
export interface CuttingProxy extends Address {
  /**
   * Loses the n-th answer from now on: what the server sends is not passed on, and the connection is cut at both ends.
   *
   * @param n - From 1; a piece of data from the server counts as one answer. 0 takes it back.
   */
  cutAnswer(n: number): void
  /** How many connections were cut so far. */
  cuts(): number
  /** How many answers were passed on so far. */
  answers(): number
  /** Cuts all connections and refuses new ones until `resume`. */
  interrupt(): void
  /** Lets connections through again. */
  resume(): void
  /** Cuts all connections and stops to listen. */
  close(): Promise<void>
}

/**
 * Opens a proxy in front of a server.
 *
 * @param target - Where the server listens.
 * @returns The proxy, listening on a port of its own.
 */
export async function openCuttingProxy(target: Address): Promise<CuttingProxy> {
  const connections = new Set<Socket>()
  let answersLeft = 0
  let cuts = 0
  let answers = 0
  let interrupted = false
  const cutAll = () => {
    for (const socket of connections) socket.destroy()
  }
  const server = createServer((client) => {
    if (interrupted) {
      client.destroy()
      return
    }
    const upstream = connect(target)
    for (const socket of [client, upstream]) {
      connections.add(socket)
      // A cut connection is no error here; each end learns of it by the other's end.
      socket.on('error', () => {})
      socket.on('close', () => {
        connections.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (request) => upstream.write(request))
    upstream.on('data', (answer) => {
      if (answersLeft === 1) {
        answersLeft = 0
        cuts += 1
        upstream.destroy()
        return
      }
      if (answersLeft > 1) answersLeft -= 1
      answers += 1
      client.write(answer)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as { port: number }
  return {
    host: '127.0.0.1',
    port,
    cutAnswer(n) {
      answersLeft = n
    },
    cuts: () => cuts,
    answers: () => answers,
    interrupt() {
      interrupted = true
      cutAll()
    },
    resume() {
      interrupted = false
    },
    close() {
      cutAll()
      return new Promise((resolve) => {
        server.close(() => resolve())
      })
    },
  }
}
