import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { isEnvelopeError, openVault } from '@talos/envelope'
import { adminRouter } from '@talos/envelope-express'
import express from 'express'
import { answerError, logAdmin, logVault } from './log.ts'
import { openStore } from './open-store.ts'
import { proxy } from './proxy.ts'
import { readSettings, SettingsError } from './settings.ts'

/** How long answers in flight may take when the process is asked to end, and when it gives up to end in order. */
const DRAIN_MS = 1000
const STOP_MS = 10_000

async function main(): Promise<void> {
  const settings = await readSettings()
  const { store, close } = await openStore(settings.database)
  const vault = await openVault({ store, keys: settings.keys, namespace: 'gateway', onEvent: logVault })

  const app = express()
  app.disable('x-powered-by')
  const admin = adminRouter({ vault, store, auth: settings.auth, onEvent: logAdmin })
  app.use('/admin/v1/secrets', admin)
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

  let stopping = false
  const stop = async (): Promise<void> => {
    // A terminal and npm both pass Ctrl-C on: the second one must not cut the first one short.
    if (stopping) return
    stopping = true
    // The vault's timers keep no process alive; this one does until the vault has said goodbye.
    setTimeout(() => process.exit(1), STOP_MS)
    const closed = once(server, 'close')
    server.close()
    admin.close()
    setTimeout(() => server.closeAllConnections(), DRAIN_MS).unref()
    await closed
    await vault.close()
    await close()
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop())

  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

try {
  await main()
} catch (error) {
  process.exitCode = 1
  if (error instanceof SettingsError) {
    for (const fault of error.faults) console.error(`configuration: ${fault}`)
  } else if (isEnvelopeError(error)) {
    console.error(`${error.code}: ${error.message}`)
  } else {
    throw error
  }
}
