import type { IncomingMessage, ServerResponse } from 'node:http'
import { discardRest } from './body.ts'
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

/** A request and where its answer goes. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Milliseconds that a client still sending has to finish after its answer. */
  readonly lingerMs: number
}

/** Sends the answer of a handler. */
export function sendAnswer(exchange: Exchange, { status, headers, body }: AdminResponse): void {
  send(exchange, status, { 'Content-Type': 'application/json', ...headers }, body)
}

/** Sends a problem document (RFC 9457). */
export function sendProblem(exchange: Exchange, problem: Problem): void {
  const headers = { 'Content-Type': 'application/problem+json', ...problem.headers }
  send(exchange, problem.status, headers, problem.toJSON())
}

function send(
  { request, response, lingerMs }: Exchange,
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
  if (request.complete || headers['Connection'] === 'close') {
    response.end(bytes)
    return
  }
  // The client has its whole answer now; ended is it when there is nothing left to reset the connection over.
  response.write(bytes)
  discardRest(request, lingerMs, () => response.end())
}
