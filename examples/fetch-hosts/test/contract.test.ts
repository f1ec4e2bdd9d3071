import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { adminFetchHandler } from '@talos/envelope-express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { describe } from 'vitest'
import { authenticationContract } from '../../../packages/express/test/contract/authentication.ts'
import { bodiesContract } from '../../../packages/express/test/contract/bodies.ts'
import { documentedContract } from '../../../packages/express/test/contract/documented.ts'
import { answersContract } from '../../../packages/express/test/contract/errors.ts'
import { idempotencyContract } from '../../../packages/express/test/contract/idempotency.ts'
import { keksContract } from '../../../packages/express/test/contract/keks.ts'
import { liveContract } from '../../../packages/express/test/contract/live.ts'
import { readingContract } from '../../../packages/express/test/contract/reading.ts'
import { rotationsContract } from '../../../packages/express/test/contract/rotations.ts'
import { routesContract } from '../../../packages/express/test/contract/routes.ts'
import type { ApiOptions, Host, Mounted } from '../../../packages/express/test/support/hosts.ts'
import { wrapsWritten } from '../../../packages/express/test/support/test-vault.ts'
import { mountInFastify } from '../fastify.ts'
import { mountInHono } from '../hono.ts'

const MOUNT = '/admin/v1/secrets'

async function inHono(api: ApiOptions): Promise<Mounted> {
  const admin = adminFetchHandler({ ...api, mountPath: MOUNT })
  const app = new Hono()
  mountInHono(app, MOUNT, admin)
  app.notFound((context) => context.text('host', 404))
  const { promise, resolve } = Promise.withResolvers<AddressInfo>()
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, resolve)
  const { port } = await promise
  return {
    url: `http://127.0.0.1:${port}${MOUNT}`,
    errors: [],
    async [Symbol.asyncDispose]() {
      admin.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}

async function inFastify(api: ApiOptions): Promise<Mounted> {
  const admin = adminFetchHandler({ ...api, mountPath: MOUNT })
  const app = Fastify({ forceCloseConnections: true })
  await mountInFastify(app, MOUNT, admin)
  app.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send('host'))
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    url: `${origin}${MOUNT}`,
    errors: [],
    async [Symbol.asyncDispose]() {
      admin.close()
      await app.close()
    },
  }
}

const HOSTS: readonly Host[] = [
  { title: 'Hono', atRoot: false, hasMiddleware: false, mount: inHono },
  { title: 'Fastify', atRoot: false, hasMiddleware: false, refusesBadPaths: true, mount: inFastify },
]

describe.each(HOSTS)('$title', (host) => {
  routesContract(host)
  rotationsContract(host)
  keksContract(host)
  readingContract(host)
  liveContract(host)
  idempotencyContract(host)
  authenticationContract(host)
  bodiesContract(host)
})

describe('all answers', () => {
  answersContract(() => wrapsWritten)
  documentedContract()
})
