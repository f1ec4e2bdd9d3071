import { environmentKeys } from '@talos/envelope'
import { openInstrumentedVault } from '@talos/envelope-otel'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { serveMetrics } from './telemetry.ts'

const SECRETS = 500

const endpoint = await serveMetrics(Number(process.env['METRICS_PORT'] ?? '9464'))
const database = openSqliteDatabase(process.env['DATABASE'] ?? 'telemetry.sqlite')
const store = sqliteStore({ database })
await store.migrate()
const vault = await openInstrumentedVault(
  { store, keys: environmentKeys(), namespace: 'telemetry' },
  { statusEveryMs: Number(process.env['STATUS_EVERY_MS'] ?? '60000') },
)

for (let n = 0; n < SECRETS; n += 1) {
  // What is there from an earlier start stays, under the KEK that it is under.
  await vault.put(`provider-${n}/key`, `sk-example-${n}`, { expectedVersion: null })
}
const { staleCounts } = await vault.status()
if (Object.values(staleCounts).some((count) => count > 0)) await vault.rotate({ ratePerSecond: 1000 })

const stop = async (): Promise<void> => {
  await vault.close()
  await endpoint.close()
  database.close()
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop())
console.log(`scrape ${endpoint.url}`)
