import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type KeyProvider, type KeyProviderName, ProviderError } from '@talos/envelope'

/** What a fake key management service does with a request instead of answering it. */
export type Disturbance = 'outage' | 'throttle' | 'denied' | 'silence' | 'cut' | 'wrong length' | 'garbage'

/** A key of the service in use: the provider for a key source, with a count of its calls. */
export interface FakeKey extends KeyProvider {
  readonly calls: { wrap: number; unwrap: number }
}

/**
 * A key management service on the loopback interface. It is a fake, and its cryptography is real: keys are drawn and kept by
 * the server, DEKs travel over HTTP and are encrypted with AES-256-GCM under a random nonce and bound to the key's name.
 */
export interface FakeKms {
  /** Makes a key that the service holds from now on; the same name is the same key. */
  key(name: string, provider?: KeyProviderName): FakeKey
  /** Decides, call by call, what goes wrong. `call` counts from 1 over all keys. */
  disturb: (call: number, operation: 'wrap' | 'unwrap') => Disturbance | null
  /** Milliseconds before each answer. */
  latencyMs: number
  /** The most requests that were in the service at the same time. */
  readonly mostAtOnce: () => number
  readonly requests: () => number
  /** Cuts the requests that were met with silence. */
  endSilence(): void
  close(): Promise<void>
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Starts a service on a free port. */
export async function startFakeKms(): Promise<FakeKms> {
  const keys = new Map<string, Uint8Array>()
  const silent = new Set<Socket>()
  let requests = 0
  let inside = 0
  let mostAtOnce = 0
  const server = createServer((request, response) => {
    void answer(request, response).finally(() => {
      inside -= 1
    })
  })
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    inside += 1
    mostAtOnce = Math.max(mostAtOnce, inside)
    requests += 1
    const operation = request.url === '/wrap' ? 'wrap' : 'unwrap'
    const disturbance = kms.disturb(requests, operation)
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer)
    } catch {
      return
    }
    const { key, input } = JSON.parse(Buffer.concat(chunks).toString()) as { key: string; input: string }
    if (kms.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, kms.latencyMs))
    const send = (status: number, output = ''): void => {
      response.writeHead(status).end(output)
    }
    if (disturbance === 'silence') return void silent.add(request.socket)
    if (disturbance === 'cut') return void request.socket.destroy()
    if (disturbance === 'outage') return send(503)
    if (disturbance === 'throttle') return send(429)
    if (disturbance === 'denied') return send(403)
    if (disturbance === 'wrong length') return send(200, randomBytes(31).toString('base64'))
    if (disturbance === 'garbage') return send(200, randomBytes(32).toString('base64'))
    const secret = keys.get(key)
    if (secret === undefined) return send(404)
    const bytes = Buffer.from(input, 'base64')
    const output = operation === 'wrap' ? encrypt(secret, key, bytes) : decrypt(secret, key, bytes)
    if (output === null) send(400)
    else send(200, Buffer.from(output).toString('base64'))
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const kms: FakeKms = {
    disturb: () => null,
    latencyMs: 0,
    mostAtOnce: () => mostAtOnce,
    requests: () => requests,
    endSilence() {
      for (const socket of silent) socket.destroy()
      silent.clear()
    },
    key(name, provider = 'aws-kms') {
      if (!keys.has(name)) keys.set(name, randomBytes(32))
      return providerOf(origin, provider, name)
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return kms
}

function encrypt(secret: Uint8Array, name: string, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(Buffer.from(name))
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function decrypt(secret: Uint8Array, name: string, ciphertext: Uint8Array): Uint8Array | null {
  if (ciphertext.length < NONCE_BYTES + TAG_BYTES) return null
  const decipher = createDecipheriv('aes-256-gcm', secret, ciphertext.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  }).setAAD(Buffer.from(name))
  decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(ciphertext.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch {
    return null
  }
}

/** The client's side, as an adapter for a real service would be written. */
function providerOf(origin: string, provider: KeyProviderName, key: string): FakeKey {
  const calls = { wrap: 0, unwrap: 0 }
  async function ask(
    operation: 'wrap' | 'unwrap',
    input: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    calls[operation] += 1
    const body = JSON.stringify({ key, input: Buffer.from(input).toString('base64') })
    const response = await fetch(`${origin}/${operation}`, { method: 'POST', body, signal })
    const output = await response.text()
    if (response.status === 200) return new Uint8Array(Buffer.from(output, 'base64'))
    if (response.status === 400) return null
    if (response.status === 403 || response.status === 404) {
      throw new ProviderError(
        'ERR_KEY_PROVIDER_REFUSED',
        'The service does not let this process use the key.',
      )
    }
    throw new ProviderError('ERR_KEY_PROVIDER_UNAVAILABLE', `The service answered ${response.status}.`)
  }
  return {
    provider,
    key,
    calls,
    async wrapKey(dek, { signal }) {
      const wrapped = await ask('wrap', dek, signal)
      if (wrapped === null)
        throw new ProviderError('ERR_KEY_PROVIDER_REFUSED', 'The service refused to wrap.')
      return wrapped
    },
    unwrapKey: (wrappedDek, { signal }) => ask('unwrap', wrappedDek, signal),
  }
}
