import { Readable } from 'node:stream'
import type { AdminFetchHandler } from '@talos/envelope-express'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Mounts the admin API in a Fastify app. */
export async function mountInFastify(
  app: FastifyInstance,
  path: string,
  admin: AdminFetchHandler,
): Promise<void> {
  await app.register(
    async (scope) => {
      // The admin API reads bodies itself: it has limits of its own and refuses a member that comes twice.
      scope.removeAllContentTypeParsers()
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
      const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
        // `ip` is the proxy's address unless the app was made with `trustProxy`.
        const answered = await admin(toRequest(request), { clientAddress: request.ip })
        if (answered === null) reply.callNotFound()
        return answered ?? reply
      }
      scope.all('/', answer)
      scope.all('/*', answer)
    },
    { prefix: path },
  )
}

/** Headers in the number they came in: one that comes twice must not pass for one. */
function toRequest({ raw }: FastifyRequest): Request {
  const { method = 'GET', rawHeaders, url = '/' } = raw
  const headers = new Headers()
  for (let at = 0; at < rawHeaders.length; at += 2)
    headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '')
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const init: object = { method, headers, duplex: 'half', ...(hasBody ? { body: Readable.toWeb(raw) } : {}) }
  return new Request(new URL(url, 'http://localhost'), init)
}
