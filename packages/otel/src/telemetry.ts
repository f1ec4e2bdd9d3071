import type { Attributes, BatchObservableResult, MeterProvider, TracerProvider } from '@opentelemetry/api'
import { trace } from '@opentelemetry/api'
import type { SecretVault, VaultEvent } from '@talos/envelope'
import type { CallSpans } from './call-spans.ts'
import { countEvent } from './event-metrics.ts'
import { Instruments } from './instruments.ts'
import { ATTRIBUTE, SCOPE } from './names.ts'
import { observations } from './observations.ts'
import { RotationSpans } from './rotation-spans.ts'
import { type Clocks, StatusLook } from './status-look.ts'
import { tracedVault } from './traced-vault.ts'

export interface TelemetryParts {
  readonly namespace: string
  readonly statusEveryMs: number
  readonly clocks: Clocks
  readonly meterProvider: MeterProvider | undefined
  readonly tracerProvider: TracerProvider | undefined
}

/** How soon an SDK that is registered late is noticed where nothing is called. */
const TICK_MS = 5000

/** What reports one vault. */
export class Telemetry {
  readonly #with: TelemetryParts
  readonly #shared: Attributes
  readonly #spans: CallSpans
  readonly #instruments: Instruments
  readonly #rotations: RotationSpans
  readonly #toldKekIds = new Set<string>()

  constructor(parts: TelemetryParts) {
    this.#with = parts
    this.#shared = { [ATTRIBUTE.namespace]: parts.namespace }
    const tracer = () => (parts.tracerProvider ?? trace).getTracer(SCOPE)
    this.#spans = { tracer, shared: this.#shared }
    this.#instruments = new Instruments(parts.meterProvider, this.#shared)
    this.#rotations = new RotationSpans(this.#spans, parts.clocks.now)
  }

  onEvent(event: VaultEvent): void {
    countEvent(event, this.#instruments.current, this.#shared)
    this.#rotations.onEvent(event)
  }

  /** Reports a vault from now on until it is closed. */
  attach(vault: SecretVault): SecretVault {
    const { clocks, statusEveryMs } = this.#with
    const look = new StatusLook(vault, statusEveryMs, clocks, (errorType) => {
      this.#instruments.current.statusFailures.add(1, { ...this.#shared, [ATTRIBUTE.errorType]: errorType })
    })
    this.#instruments.observe((result) => this.#observe(vault, look, result))
    const tick = setInterval(() => {
      void this.#instruments.current
      this.#rotations.endQuiet()
    }, TICK_MS)
    tick.unref()
    const close = async (): Promise<void> => {
      clearInterval(tick)
      this.#instruments.stopObserving()
      try {
        await vault.close()
      } finally {
        this.#rotations.endAll()
      }
    }
    const onRotate = this.#rotations.onRotate.bind(this.#rotations)
    return tracedVault(vault, { spans: this.#spans, onRotate, close })
  }

  async #observe(vault: SecretVault, look: StatusLook, result: BatchObservableResult): Promise<void> {
    const found = await look.take()
    const { gauges } = this.#instruments.current
    result.observe(gauges.ready, vault.ready ? 1 : 0, this.#shared)
    if (look.ageMs !== null) result.observe(gauges.statusAge, look.ageMs / 1000, this.#shared)
    if (found === null) return
    for (const [gauge, value, attributes] of observations(found, this.#with.clocks.now(), this.#toldKekIds))
      result.observe(gauges[gauge], value, { ...this.#shared, ...attributes })
  }
}
