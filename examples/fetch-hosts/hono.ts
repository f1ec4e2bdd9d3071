import { getConnInfo } from '@hono/node-server/conninfo'
import type { AdminFetchHandler } from '@talos/envelope-express'
import type { Context, Hono } from 'hono'

/** Mounts the admin API in a Hono app that `@hono/node-server` serves. */
export function mountInHono(app: Hono, path: string, admin: AdminFetchHandler): void {
  const answer = async (context: Context): Promise<Response> => {
    const clientAddress = getConnInfo(context).remote.address ?? 'unknown'
    return (await admin(context.req.raw, { clientAddress })) ?? (await context.notFound())
  }
  app.all(path, answer)
  app.all(`${path}/*`, answer)
}
