import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The body, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly json: any
}

export interface Asked {
  readonly method?: string
  /** A flat list sends a name twice. */
  readonly headers?: Readonly<Record<string, string>> | readonly string[]
  /** Sent as the `Authorization: Bearer` header. */
  readonly token?: string
  readonly body?: string | Uint8Array
  /** Sent as JSON. */
  readonly json?: unknown
}

/** Every answer of every server of this test file, for what no answer may contain and every answer must. */
export const answers: { readonly asked: string; readonly answer: Answer }[] = []

/** The request target is sent as it is given: a URL would resolve `..` away. */
export function ask(url: string, target: string, asked: Asked = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { hostname, port, pathname } = new URL(url)
  const prefix = pathname === '/' ? '' : pathname
  const request = httpRequest({
    hostname,
    port,
    path: target.startsWith('/') ? `${prefix}${target}` : target,
    method: asked.method ?? 'GET',
    headers: headerList(asked),
    agent: false,
  })
  request.on('error', reject)
  request.on('response', (response) => {
    const chunks: Buffer[] = []
    response.on('error', reject)
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== ''
      const answer = {
        status: response.statusCode ?? 0,
        headers: response.headers,
        text,
        json: isJson ? JSON.parse(text) : undefined,
      }
      answers.push({ asked: `${asked.method ?? 'GET'} ${target}`, answer })
      resolve(answer)
    })
  })
  request.end(bodyOf(asked))
  return promise
}

function bodyOf({ body, json }: Asked): string | Uint8Array | undefined {
  return json === undefined ? body : JSON.stringify(json)
}

function headerList(asked: Asked): string[] {
  const given = asked.headers ?? {}
  const list = Array.isArray(given) ? [...given] : Object.entries(given).flat()
  const has = (name: string) => list.some((text, index) => index % 2 === 0 && text.toLowerCase() === name)
  const body = bodyOf(asked)
  if (!has('host')) list.push('Host', 'localhost')
  if (asked.token !== undefined) list.push('Authorization', `Bearer ${asked.token}`)
  if (body !== undefined && !has('content-type')) list.push('Content-Type', 'application/json')
  if (body !== undefined && !has('content-length') && !has('transfer-encoding')) {
    list.push('Content-Length', `${Buffer.byteLength(body)}`)
  }
  return list
}
