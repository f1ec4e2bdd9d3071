import { Buffer } from 'node:buffer'
import { Agent, request } from 'node:http'
import type { Evidence } from './canary.ts'

export interface WaitingForAnswer {
  readonly instance_id: string
  readonly process: string
  readonly reason: string
  readonly message: string
}

export interface RotateAllAnswer {
  readonly op_id: string
  readonly status: string
  readonly message: string
  readonly status_url: string
  readonly waiting_for?: readonly WaitingForAnswer[]
}

export interface RotationAnswer {
  readonly id: string
  readonly status: 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'
  readonly target_kek_id: string
  readonly waiting_for: readonly WaitingForAnswer[]
  readonly stats: { readonly scanned: number; readonly rotated: number; readonly failed: number }
  readonly last_error: { readonly code: string; readonly message: string } | null
  readonly failures: readonly {
    readonly name: string
    readonly reason: string
    readonly key_id: string | null
  }[]
}

export interface KekStatusAnswer {
  readonly current_kek_id: string | null
  readonly target_kek_id: string | null
  readonly pending: { readonly kek_id: string; readonly waiting_for: readonly WaitingForAnswer[] } | null
  readonly loaded_kek_ids: readonly string[]
  readonly stale_counts: Readonly<Record<string, number>>
}

export interface ListedSecret {
  readonly name: string
  readonly key_id: string
  readonly version: number
  readonly created_at: string
  readonly rotated_at: string | null
}

export interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

export const ADMIN_PATH = '/admin/v1/secrets'

/** The other side broke off: a write may or may not have taken effect. */
export class ConnectionLost extends Error {}

/** Speaks to one gateway over HTTP, on connections that are kept open; keeps all answers as evidence. */
export class Operator {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 })
  readonly #url: string
  readonly #rootToken: string
  readonly #evidence: Evidence

  constructor(url: string, rootToken: string, evidence: Evidence) {
    this.#url = url
    this.#rootToken = rootToken
    this.#evidence = evidence
  }

  async put(name: string, value: string): Promise<void> {
    await this.#expect(201, 'POST', ADMIN_PATH, { name, value })
  }

  async rotateAll(rateLimit?: number): Promise<RotateAllAnswer> {
    const body = rateLimit === undefined ? {} : { rate_limit: rateLimit }
    return parse(await this.#expect(202, 'POST', `${ADMIN_PATH}/rotate-all`, body))
  }

  async rotation(operationId: string): Promise<RotationAnswer> {
    return parse(await this.#expect(200, 'GET', `${ADMIN_PATH}/rotation-status/${operationId}`))
  }

  async kekStatus(): Promise<KekStatusAnswer> {
    return parse(await this.#expect(200, 'GET', `${ADMIN_PATH}/kek-status`))
  }

  async ready(): Promise<boolean> {
    const answer = await this.send('GET', `${ADMIN_PATH}/healthz`)
    return parse<{ ready: boolean }>(answer).ready
  }

  /** Reads the whole listing, page by page. */
  async list(): Promise<readonly ListedSecret[]> {
    const secrets: ListedSecret[] = []
    let query = '?limit=1000'
    for (;;) {
      const answer = await this.#expect(200, 'GET', `${ADMIN_PATH}${query}`)
      const page = parse<{ secrets: ListedSecret[]; next?: string | null }>(answer)
      secrets.push(...page.secrets)
      if (page.next === undefined || page.next === null) return secrets
      query = `?limit=1000&cursor=${encodeURIComponent(page.next)}`
    }
  }

  /** Calls the model through the gateway, as an application does. */
  chat(): Promise<Answer> {
    return this.send('POST', '/v1/chat/completions', {
      model: 'any',
      messages: [{ role: 'user', content: 'Hi.' }],
    })
  }

  /** Sends one request. @throws ConnectionLost when no whole answer came */
  async send(method: string, path: string, body?: unknown): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const lost = (error: Error): void => reject(new ConnectionLost(`${method} ${path}: ${error.message}`))
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const headers: Record<string, string> = {}
    // The application's calls carry no token: it is the operator's.
    if (path.startsWith(ADMIN_PATH)) headers['authorization'] = `Bearer ${this.#rootToken}`
    if (content !== undefined) {
      headers['content-type'] = 'application/json'
      headers['content-length'] = String(content.byteLength)
    }
    const outgoing = request(
      new URL(path, this.#url),
      { method, headers, agent: this.#agent },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', lost)
        incoming.on('end', () => {
          const bytes = Buffer.concat(chunks)
          this.#evidence.add(
            'HTTP answers',
            Buffer.concat([Buffer.from(incoming.rawHeaders.join('\n')), bytes]),
          )
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: bytes.toString() })
        })
      },
    )
    outgoing.on('error', lost)
    outgoing.end(content)
    return promise
  }

  close(): void {
    this.#agent.destroy()
  }

  async #expect(status: number, method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.send(method, path, body)
    if (answer.status !== status) {
      throw new Error(`${method} ${path} answered ${answer.status} instead of ${status}: ${answer.body}`)
    }
    return answer
  }
}

function parse<T>(answer: Answer): T {
  return JSON.parse(answer.body) as T
}
