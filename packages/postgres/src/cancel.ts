import { createConnection, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { PostgresClient } from './client.ts'

/** The request codes of the frontend/backend protocol, section 54.7: CancelRequest and SSLRequest. */
const CANCEL_REQUEST = 80_877_102
const SSL_REQUEST = 80_877_103
/** A server that does not take the request by then will not cancel in time either. */
const CANCEL_TIMEOUT_MS = 3_000

/**
 * Asks the server to cancel the statement that a client is running, over a connection of its own as the protocol wants it.
 * `pg_cancel_backend` would need a second connection of the pool, and does not know a pooler's process numbers.
 *
 * @returns When the server has closed that connection: the signal has been sent, if it sends one at all. Never throws.
 */
export async function cancelStatement(client: PostgresClient): Promise<void> {
  const { processID, secretKey } = client as { processID?: unknown; secretKey?: unknown }
  const { host, port } = client
  if (typeof processID !== 'number' || typeof secretKey !== 'number' || host === undefined) return
  const request = words(CANCEL_REQUEST, processID, secretKey)
  await new Promise<void>((resolve) => {
    const socket = host.startsWith('/')
      ? createConnection(`${host}/.s.PGSQL.${port}`)
      : createConnection({ host, port: port ?? 5432 })
    const timer = setTimeout(() => socket.destroy(), CANCEL_TIMEOUT_MS)
    socket.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
    // A failure leaves the statement running; whoever asked finds that out by waiting for it.
    socket.on('error', () => {})
    socket.once('connect', () => {
      if (client.ssl) overTls(socket, client.ssl, host, request)
      else send(socket, request)
    })
  })
}

/** The request holds what lets anybody cancel this connection's statements, so it goes where the password went. */
function overTls(socket: Socket, ssl: unknown, host: string, request: Buffer): void {
  const begin = () => {
    const options = typeof ssl === 'object' && ssl !== null ? ssl : {}
    const name = isIP(host) === 0 ? { servername: host } : {}
    const secure = connectTls({ host, ...name, ...options, socket })
    secure.on('error', () => socket.destroy())
    secure.once('secureConnect', () => send(secure, request))
  }
  socket.once('data', (answer) => {
    if (answer.toString('latin1') === 'S') begin()
    else socket.destroy()
  })
  socket.write(words(SSL_REQUEST))
}

function send(socket: Socket | TLSSocket, request: Buffer): void {
  // The server answers nothing; without a reader its end of the connection would not be noticed.
  socket.resume()
  socket.write(request)
}

/** A message without a type: its length, then 32-bit numbers. */
function words(...numbers: readonly number[]): Buffer {
  const message = Buffer.alloc(4 + 4 * numbers.length)
  message.writeInt32BE(message.length, 0)
  for (const [index, number] of numbers.entries()) message.writeInt32BE(number | 0, 4 + 4 * index)
  return message
}
