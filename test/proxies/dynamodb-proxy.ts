import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'
import { type DynamodbFault, type DynamodbRequest, faultAnswer } from './dynamodb-faults.ts'

/** How requests are disturbed. */
export interface Disturbance {
  /** The share of requests that are refused, from 0 to 1. */
  readonly rate: number
  /** Numbers from 0 up to 1, not 1: `seeded(…)`, so that a run can be repeated. */
  readonly random: () => number
  /** Which refusals, all as often as each other; repeat one to have it more often. */
  readonly faults: readonly DynamodbFault[]
}

/** What a proxy is told to do with a request that it would forward. */
export type Verdict = 'forward' | 'lose' | DynamodbFault | ErrorAnswer

/** An answer that the emulator never gives, in the words of DynamoDB. */
export interface ErrorAnswer {
  /** The error's name with its namespace. */
  readonly type: string
  readonly message: string
  /** @defaultValue 400 */
  readonly status?: number
}

/** What went through a proxy. */
export interface ProxyCounts {
  /** Requests forwarded. */
  readonly forwarded: number
  /** Requests refused by the proxy itself. None of them reached DynamoDB. */
  readonly refused: number
}

/** An HTTP proxy in front of DynamoDB. It refuses before it forwards, so no refused write has taken effect. */
export interface DynamodbProxy {
  readonly url: string
  /** Refuses a share of the requests from now on; `null` ends that. */
  disturb(disturbance: Disturbance | null): void
  /** Decides about each request from now on; `lose` forwards it and cuts the connection instead of answering. */
  judge(judge: ((request: DynamodbRequest) => Verdict) | null): void
  /** Keeps every answer back for so long. */
  delay(milliseconds: number): void
  /** Answers at most so many items of a `BatchGetItem`, and names the others as unprocessed. */
  limitBatches(keys: number): void
  /** Changes answers from now on, as to say of a table what no table of the emulator has. */
  change(change: ((operation: string, answer: Readonly<Record<string, unknown>>) => object) | null): void
  counts(): ProxyCounts
  close(): Promise<void>
}

/** Opens a proxy on the loopback interface. @param target - The address of DynamoDB, of scheme `http:`. */
export async function openDynamodbProxy(target: string): Promise<DynamodbProxy> {
  const agent = new Agent({ keepAlive: true })
  const timers = new Set<NodeJS.Timeout>()
  const counts = { forwarded: 0, refused: 0 }
  let disturbance: Disturbance | null = null
  let judge: ((request: DynamodbRequest) => Verdict) | null = null
  let delayMs = 0
  let change: ((operation: string, answer: Readonly<Record<string, unknown>>) => object) | null = null
  let batchKeys = Number.POSITIVE_INFINITY

  function verdictOf(request: DynamodbRequest): Verdict {
    if (judge !== null) return judge(request)
    if (disturbance === null || disturbance.random() >= disturbance.rate) return 'forward'
    const { faults, random } = disturbance
    return faults[Math.floor(random() * faults.length)] ?? 'forward'
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await textOf(incoming)
    const operation = String(incoming.headers['x-amz-target'] ?? '').split('.')[1] ?? ''
    const request: DynamodbRequest = { operation, body: JSON.parse(text || '{}') }
    const verdict = verdictOf(request)
    if (typeof verdict === 'object') {
      counts.refused += 1
      const { type, message, status = 400 } = verdict
      answer(response, status, JSON.stringify({ __type: type, message }))
      return
    }
    const chosen = disturbance?.random() ?? 0
    const refusal = verdict === 'forward' || verdict === 'lose' ? null : faultAnswer(verdict, request, chosen)
    if (refusal !== null) {
      counts.refused += 1
      answer(response, 400, JSON.stringify(refusal))
      return
    }
    if (operation === 'BatchGetItem' && batchKeys === 0) {
      answer(response, 200, JSON.stringify({ Responses: {}, UnprocessedKeys: request.body['RequestItems'] }))
      return
    }
    counts.forwarded += 1
    const kept = operation === 'BatchGetItem' ? withFewerKeys(request.body, batchKeys) : null
    const answered = await forward(target, agent, incoming, kept === null ? text : JSON.stringify(kept.body))
    if (verdict === 'lose') {
      incoming.socket.destroy()
      return
    }
    const whole = kept === null ? answered.text : withUnprocessed(answered.text, kept.left)
    const changed = change === null ? whole : JSON.stringify(change(operation, JSON.parse(whole)))
    answer(response, answered.status, changed)
  }

  function answer(response: ServerResponse, status: number, text: string): void {
    const finish = (): void => {
      response.writeHead(status, {
        'content-type': 'application/x-amz-json-1.0',
        'content-length': Buffer.byteLength(text),
        'x-amzn-requestid': randomUUID(),
        'x-amz-crc32': crc32(text),
      })
      response.end(text)
    }
    if (delayMs === 0) {
      finish()
      return
    }
    const timer = setTimeout(() => {
      timers.delete(timer)
      finish()
    }, delayMs)
    timers.add(timer)
  }

  const server = createServer((incoming, response) => {
    // Whoever asked learns of a server that is gone by the cut connection.
    serve(incoming, response).catch(() => incoming.socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    disturb(next) {
      disturbance = next
    },
    judge(next) {
      judge = next
    },
    delay(milliseconds) {
      delayMs = milliseconds
    },
    limitBatches(keys) {
      batchKeys = keys
    },
    change(next) {
      change = next
    },
    counts: () => ({ ...counts }),
    async close() {
      for (const timer of timers) clearTimeout(timer)
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      agent.destroy()
    },
  }
}

/** Numbers from 0 up to 1 that are the same for the same seed (a linear congruential generator of 48 bits). */
export function seeded(seed: number): () => number {
  const modulus = 2n ** 48n
  let state = (BigInt(seed) << 16n) | 0x330en
  return () => {
    state = (state * 25_214_903_917n + 11n) % modulus
    return Number(state) / Number(modulus)
  }
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function forward(
  target: string,
  agent: Agent,
  incoming: IncomingMessage,
  text: string,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { ...incoming.headers, 'content-length': String(Buffer.byteLength(text)) }
    const outgoing = send(
      target,
      { method: incoming.method, path: incoming.url, headers, agent },
      (answered) => {
        textOf(answered).then((text) => resolve({ status: answered.statusCode ?? 502, text }), reject)
      },
    )
    outgoing.once('error', reject)
    outgoing.end(text)
  })
}

type KeysOf = Record<string, { readonly Keys: readonly unknown[] }>

function withFewerKeys(body: Readonly<Record<string, unknown>>, keys: number) {
  const left: KeysOf = {}
  const items: KeysOf = {}
  for (const [table, request] of Object.entries(body['RequestItems'] as KeysOf)) {
    items[table] = { ...request, Keys: request.Keys.slice(0, keys) }
    if (request.Keys.length > keys) left[table] = { ...request, Keys: request.Keys.slice(keys) }
  }
  return Object.keys(left).length === 0 ? null : { body: { ...body, RequestItems: items }, left }
}

function withUnprocessed(text: string, left: KeysOf): string {
  return JSON.stringify({ ...JSON.parse(text), UnprocessedKeys: left })
}
