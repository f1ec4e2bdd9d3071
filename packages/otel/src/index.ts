export type { TelemetryOptions } from './open-instrumented-vault.ts'
export { openInstrumentedVault } from './open-instrumented-vault.ts'
