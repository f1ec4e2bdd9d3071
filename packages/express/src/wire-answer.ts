import type { AdminResponse } from './exchange.ts'
import { Problem } from './problem.ts'

/** What every answer carries: nobody keeps it, guesses its type, learns its address or runs it. */
const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
} as const

/** An answer as it goes over the wire, whatever the host. */
export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly content: Uint8Array<ArrayBuffer> | ReadableStream<string>
}

/** Adds what every answer carries, and writes JSON down. */
export function answerOf(answer: AdminResponse | Problem): WireAnswer {
  if (answer instanceof Problem) return json(answer.status, answer.headers, answer.toJSON(), 'problem+json')
  const { status, headers = {} } = answer
  if ('body' in answer) return json(status, headers, answer.body, 'json')
  if ('stream' in answer) return { status, headers: { ...HEADERS, ...headers }, content: answer.stream }
  const content = new Uint8Array(answer.file)
  return { status, headers: { ...HEADERS, ...headers, 'Content-Length': `${content.length}` }, content }
}

function json(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Readonly<Record<string, unknown>>,
  type: string,
): WireAnswer {
  const content = new Uint8Array(Buffer.from(JSON.stringify(body)))
  const own = { ...HEADERS, 'Content-Type': `application/${type}`, 'Content-Length': `${content.length}` }
  return { status, headers: { ...own, ...headers }, content }
}
