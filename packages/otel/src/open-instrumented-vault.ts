import { performance } from 'node:perf_hooks'
import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { type OpenVaultOptions, openVault, type SecretVault, type VaultEvent } from '@talos/envelope'
import { Telemetry } from './telemetry.ts'

/** How {@link openInstrumentedVault} reports. */
export interface TelemetryOptions {
  /**
   * How often the vault is looked at for the gauges, at most, in milliseconds: 1,000 to 3,600,000. A look costs what
   * `vault.status()` costs, at each instance that is asked for its metrics.
   *
   * @defaultValue 60_000
   */
  readonly statusEveryMs?: number
  /** Where metrics go. @defaultValue the provider that is registered globally, now or later */
  readonly meterProvider?: MeterProvider
  /** Where spans go. @defaultValue the provider that is registered globally, now or later */
  readonly tracerProvider?: TracerProvider
}

const DEFAULT_STATUS_EVERY_MS = 60_000

/**
 * Opens a vault as `openVault` does, and reports it through the OpenTelemetry API: spans of the calls that read or write secrets
 * and of the rotations that this instance works on, metrics of both, and gauges of the keyring domain. Without an SDK it reports
 * nothing; one that is registered later is found.
 *
 * Nothing that is reported holds a value, the name of a secret or a pair of its context.
 *
 * @param options - Those of `openVault`. Their `onEvent` hears every event as before.
 * @returns The vault. Its `close()` also ends the reports.
 * @throws TypeError for options of the wrong form; otherwise as `openVault`.
 */
export async function openInstrumentedVault(
  options: OpenVaultOptions,
  { statusEveryMs = DEFAULT_STATUS_EVERY_MS, meterProvider, tracerProvider }: TelemetryOptions = {},
): Promise<SecretVault> {
  if (!Number.isSafeInteger(statusEveryMs) || statusEveryMs < 1000 || statusEveryMs > 3_600_000)
    throw new TypeError('statusEveryMs is a whole number from 1000 to 3600000.')
  const { namespace, runtime } = options
  const clocks = {
    now: runtime?.now ?? (() => Date.now()),
    monotonicMs: runtime?.monotonicMs ?? (() => performance.now()),
  }
  const telemetry = new Telemetry({ namespace, statusEveryMs, clocks, meterProvider, tracerProvider })
  const onEvent = (event: VaultEvent): void => {
    try {
      telemetry.onEvent(event)
    } finally {
      options.onEvent?.(event)
    }
  }
  // The vault's background work outlives whatever opens it, and must not add to its trace for ever.
  const vault = await context.with(ROOT_CONTEXT, () => openVault({ ...options, onEvent }))
  return telemetry.attach(vault)
}
