import { ApiProblem, problemOf } from './problem.ts'
import type {
  AuditPage,
  Certificate,
  InstanceList,
  KekStatus,
  Rotation,
  RotationDetails,
  SecretPage,
  SessionInfo,
} from './types.ts'

/** Options of a call that only reads. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
}

/** What a rotation is started with. */
export interface RotateRequest {
  readonly dry_run?: boolean
  readonly rate_limit?: number
  readonly concurrency?: number
  readonly acknowledge_compromised?: boolean
  readonly reason?: string
}

export type RotationVerb = 'pause' | 'resume' | 'cancel' | 'retry-failed'
export type KekVerb = 'promote' | 'suspend' | 'resume' | 'retire'

interface Asked extends ReadOptions {
  readonly method?: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly json?: unknown
  readonly ifMatch?: number | null
}

/**
 * The admin API as the page reaches it: by addresses relative to its own, so that any mount and any proxy prefix is right. The
 * token lives in this object and nowhere else.
 */
export class AdminClient {
  readonly #token: string
  readonly #heard: (problem: ApiProblem) => void

  /** @param heard - Told of every problem before the caller is. */
  constructor(token: string, heard: (problem: ApiProblem) => void) {
    this.#token = token
    this.#heard = heard
  }

  session(options?: ReadOptions): Promise<SessionInfo> {
    return this.#ask('session', { ...options })
  }

  kekStatus(options?: ReadOptions): Promise<KekStatus> {
    return this.#ask('kek-status', { ...options })
  }

  instances(options?: ReadOptions): Promise<InstanceList> {
    return this.#ask('instances', { ...options })
  }

  retirement(kekId: string, acceptLoss: string | undefined, options?: ReadOptions): Promise<Certificate> {
    return this.#ask(`keks/${encodeURIComponent(kekId)}/retirement`, {
      ...options,
      query: { accept_loss_of_backups: acceptLoss },
    })
  }

  changeKek(
    kekId: string,
    verb: KekVerb,
    json: Readonly<Record<string, unknown>>,
    ifMatch: number | null,
  ): Promise<unknown> {
    return this.#ask(`keks/${encodeURIComponent(kekId)}/${verb}`, { method: 'POST', json, ifMatch })
  }

  rotate(json: RotateRequest): Promise<{ readonly op_id: string }> {
    return this.#ask('rotate-all', { method: 'POST', json })
  }

  rotation(id: string, options?: ReadOptions): Promise<RotationDetails> {
    return this.#ask(`rotation-status/${encodeURIComponent(id)}`, { ...options })
  }

  async rotations(options?: ReadOptions): Promise<readonly Rotation[]> {
    const { rotations } = await this.#ask<{ readonly rotations: readonly Rotation[] }>('rotations', {
      ...options,
      query: { limit: '20' },
    })
    return rotations
  }

  changeRotation(id: string, verb: RotationVerb): Promise<unknown> {
    return this.#ask(`rotations/${encodeURIComponent(id)}/${verb}`, { method: 'POST', json: {} })
  }

  secrets(cursor: string | undefined, options?: ReadOptions): Promise<SecretPage> {
    return this.#ask('', { ...options, query: { limit: '1000', cursor } })
  }

  putSecret(json: { readonly name: string; readonly value: string }): Promise<unknown> {
    return this.#ask('', { method: 'POST', json })
  }

  deleteSecret(name: string): Promise<unknown> {
    return this.#ask('', { method: 'DELETE', query: { name } })
  }

  audit(cursor: string | undefined, options?: ReadOptions): Promise<AuditPage> {
    return this.#ask('audit', { ...options, query: { limit: '100', cursor } })
  }

  /** Opens the stream of events. */
  async events(options: ReadOptions): Promise<ReadableStream<Uint8Array>> {
    const response = await this.#send('events', { ...options }, 'text/event-stream')
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
    if (!isStream || response.body === null) throw new ApiProblem(response.status, 'NO_STREAM', 'No stream.')
    return response.body
  }

  async #ask<T>(path: string, asked: Asked): Promise<T> {
    const response = await this.#send(path, asked, 'application/json')
    try {
      return (await response.json()) as T
    } catch (error) {
      if (asked.signal?.aborted) throw error
      throw this.#told(new ApiProblem(response.status, 'NOT_JSON', 'The answer is not the admin API’s.'))
    }
  }

  async #send(path: string, asked: Asked, accept: string): Promise<Response> {
    const url = new URL(path, new URL('.', document.baseURI))
    for (const [name, value] of Object.entries(asked.query ?? {})) {
      if (value !== undefined && value !== '') url.searchParams.set(name, value)
    }
    const headers: Record<string, string> = { Accept: accept, Authorization: `Bearer ${this.#token}` }
    if (asked.json !== undefined) headers['Content-Type'] = 'application/json'
    if (asked.ifMatch != null) headers['If-Match'] = `"${asked.ifMatch}"`
    let response: Response
    try {
      response = await fetch(url, {
        method: asked.method ?? 'GET',
        headers,
        body: asked.json === undefined ? null : JSON.stringify(asked.json),
        signal: asked.signal ?? null,
        cache: 'no-store',
        credentials: 'same-origin',
        redirect: 'error',
        referrerPolicy: 'no-referrer',
      })
    } catch (error) {
      if (asked.signal?.aborted) throw error
      throw this.#told(new ApiProblem(0, 'UNREACHABLE', 'The server cannot be reached.'))
    }
    if (!response.ok) throw this.#told(await problemOf(response))
    return response
  }

  #told(problem: ApiProblem): ApiProblem {
    this.#heard(problem)
    return problem
  }
}
