import type { ServerResponse } from 'node:http'
import type { AdminResponse } from './exchange.ts'
import type { Problem } from './problem.ts'

/** What every answer carries: nobody keeps it, guesses its type, learns its address or runs it. */
const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
} as const

/** Sends the answer of a handler. */
export function sendAnswer(response: ServerResponse, { status, headers, body }: AdminResponse): void {
  send(response, status, { 'Content-Type': 'application/json', ...headers }, body)
}

/** Sends a problem document (RFC 9457). */
export function sendProblem(response: ServerResponse, problem: Problem): void {
  const headers = { 'Content-Type': 'application/problem+json', ...problem.headers }
  send(response, problem.status, headers, problem.toJSON())
}

function send(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Readonly<Record<string, unknown>>,
): void {
  // A time-out of the host may have answered before.
  if (response.headersSent || response.destroyed) return
  const bytes = Buffer.from(JSON.stringify(body))
  response.statusCode = status
  for (const [name, value] of Object.entries({ ...HEADERS, ...headers })) response.setHeader(name, value)
  response.setHeader('Content-Length', bytes.length)
  response.end(bytes)
}
