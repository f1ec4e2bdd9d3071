import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { isEnvelopeError, openVault, type VaultEvent } from '@talos/envelope'
import { adminRouter } from '@talos/envelope-express'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import express, { type ErrorRequestHandler } from 'express'
import { proxy } from './proxy.ts'
import { readSettings, SettingsError } from './settings.ts'

/** How long answers in flight may take when the process is asked to end, and how long the whole end may take. */
const DRAIN_MS = 1000
const STOP_MS = 2000

function log(event: VaultEvent): void {
  switch (event.type) {
    case 'readiness':
      if (event.ready) console.log('ready')
      for (const message of event.messages) console.error(`not ready: ${message}`)
      break
    case 'promoted':
      console.log(`KEK ${event.kekId} is current, ${event.formerKekId} only decrypts (epoch ${event.epoch})`)
      break
    case 'promotion_waiting':
      console.log(`the promotion of KEK ${event.kekId} waits for ${event.instances} instances`)
      break
    case 'fault':
      console.error(`${event.during}: ${event.code}: ${event.message}`)
      break
    case 'rotation':
      break
  }
}

/** In place of Express's own, which answers with a stack outside of production. */
const answerError: ErrorRequestHandler = (
  error: Error & { readonly status?: number },
  request,
  response,
  next,
) => {
  const { status = 500 } = error
  if (status >= 500) console.error(`${request.method} ${request.path}: ${error.message}`)
  if (response.headersSent) next(error)
  else response.status(status).json({ error: { message: status < 500 ? 'Bad request.' : 'Internal error.' } })
}

async function main(): Promise<void> {
  const settings = await readSettings()
  const database = openSqliteDatabase(settings.database)
  const store = sqliteStore({ database })
  await store.migrate()
  const vault = await openVault({ store, keys: settings.keys, namespace: 'gateway', onEvent: log })

  const app = express()
  app.disable('x-powered-by')
  app.use('/admin/v1/secrets', adminRouter({ vault, auth: settings.auth }))
  app.post('/v1/*path', proxy({ vault, upstream: settings.upstream, credential: settings.credential }))
  app.use(answerError)
  const server = app.listen(settings.port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (error) {
    // Without a goodbye the others would count this instance as live until its lease ends.
    await vault.close()
    throw error
  }

  const stop = async (): Promise<void> => {
    // The vault's timers keep no process alive; this one does until the vault has said goodbye.
    setTimeout(() => process.exit(1), STOP_MS)
    const closed = once(server, 'close')
    server.close()
    setTimeout(() => server.closeAllConnections(), DRAIN_MS).unref()
    await closed
    await vault.close()
    database.close()
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop())

  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

try {
  await main()
} catch (error) {
  if (error instanceof SettingsError)
    for (const fault of error.faults) console.error(`configuration: ${fault}`)
  else if (isEnvelopeError(error)) console.error(`${error.code}: ${error.message}`)
  else throw error
  process.exitCode = 1
}
