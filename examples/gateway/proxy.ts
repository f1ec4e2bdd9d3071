import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isEnvelopeError, type SecretVault } from '@talos/envelope'
import type { Request, RequestHandler, Response } from 'express'

/** Passes a request on to the model's provider, with the credential from the vault in place of the caller's own. */
export function proxy(options: {
  readonly vault: SecretVault
  readonly upstream: URL
  readonly credential: string
}): RequestHandler {
  const { vault, upstream, credential } = options
  return async (request, response) => {
    const target = targetOf(request, upstream)
    if (target === null) return refuse(response, 400, 'The path is not one of this API.')
    const apiKey = await readCredential(vault, credential)
    if (apiKey === null) return refuse(response, 503, 'The gateway cannot use its credential at the moment.')
    const aborted = new AbortController()
    response.on('close', () => aborted.abort())
    try {
      const answer = await fetch(target, {
        method: 'POST',
        headers: { ...passedOn(request), authorization: `Bearer ${apiKey}` },
        body: request,
        duplex: 'half',
        // A redirect would carry the credential to wherever it points.
        redirect: 'manual',
        signal: aborted.signal,
      })
      response.status(answer.status)
      const contentType = answer.headers.get('content-type')
      if (contentType !== null) response.setHeader('content-type', contentType)
      if (answer.body === null) response.end()
      else await pipeline(Readable.fromWeb(answer.body), response)
    } catch (error) {
      if (aborted.signal.aborted) return
      console.error(`upstream: ${error instanceof Error ? error.message : 'failed'}`)
      if (response.headersSent) response.destroy()
      else refuse(response, 502, 'The upstream did not answer.')
    }
  }
}

/**
 * The upstream's address for a request. Only path and query are the caller's: a request target may name a host, and dots
 * in it may lead out of `/v1/`.
 */
function targetOf(request: Request, upstream: URL): URL | null {
  const target = new URL(upstream)
  const base = upstream.pathname.replace(/\/$/, '')
  target.pathname = `${base}${request.path}`
  const mark = request.url.indexOf('?')
  target.search = mark === -1 ? '' : request.url.slice(mark)
  return target.pathname.startsWith(`${base}/v1/`) ? target : null
}

/** Read at every call: a new value is used at once, in every instance. */
async function readCredential(vault: SecretVault, name: string): Promise<string | null> {
  try {
    const secret = await vault.get(name)
    if (secret === null) console.error(`credential ${name}: there is no such secret`)
    return secret?.text() ?? null
  } catch (error) {
    if (!isEnvelopeError(error)) throw error
    console.error(`credential ${name}: ${error.code}: ${error.message}`)
    return null
  }
}

function passedOn(request: Request): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name of ['content-type', 'accept'] as const) {
    const value = request.headers[name]
    if (value !== undefined) headers[name] = value
  }
  return headers
}

function refuse(response: Response, status: number, message: string): void {
  response.status(status).json({ error: { message } })
}
