import type {
  Attributes,
  BatchObservableCallback,
  Counter,
  Histogram,
  Meter,
  MeterProvider,
  Observable,
} from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'
import { EVENT_METRICS, GAUGES, type GaugeName, SCOPE } from './names.ts'

/** The instruments of one meter provider. */
export interface InstrumentSet {
  readonly callDuration: Histogram
  readonly batchDuration: Histogram
  readonly rotationRecords: Counter
  readonly promotions: Counter
  readonly unexpectedKeks: Counter
  readonly faults: Counter
  readonly statusFailures: Counter
  readonly gauges: Readonly<Record<GaugeName, Observable>>
}

/**
 * The instruments of whichever meter provider is registered. An instrument that is made before the SDK is registered does
 * nothing for ever, so they are made when they are first needed, and anew when another provider has been registered since.
 */
export class Instruments {
  readonly #given: MeterProvider | undefined
  readonly #shared: Attributes
  #provider: MeterProvider | null = null
  #meter: Meter | null = null
  #set: InstrumentSet | null = null
  #observer: BatchObservableCallback | null = null

  /**
   * @param given - A provider to use instead of the registered one.
   * @param shared - Attributes of everything.
   */
  constructor(given: MeterProvider | undefined, shared: Attributes) {
    this.#given = given
    this.#shared = shared
  }

  /** The instruments to use now. */
  get current(): InstrumentSet {
    const provider = this.#given ?? metrics.getMeterProvider()
    if (this.#set !== null && provider === this.#provider) return this.#set
    const observer = this.#observer
    this.stopObserving()
    this.#meter = provider.getMeter(SCOPE)
    const set = makeInstruments(this.#meter)
    // What never happened is 0, and not a series that an alarm waits for in vain.
    for (const counter of [
      set.rotationRecords,
      set.promotions,
      set.unexpectedKeks,
      set.faults,
      set.statusFailures,
    ])
      counter.add(0, this.#shared)
    this.#provider = provider
    this.#set = set
    if (observer !== null) this.observe(observer)
    return set
  }

  /** Has the gauges observed at every collection from now on. */
  observe(observer: BatchObservableCallback): void {
    const { gauges } = this.current
    this.#observer = observer
    this.#meter?.addBatchObservableCallback(observer, Object.values(gauges))
  }

  /** What was counted stays. */
  stopObserving(): void {
    if (this.#observer !== null && this.#set !== null)
      this.#meter?.removeBatchObservableCallback(this.#observer, Object.values(this.#set.gauges))
    this.#observer = null
  }
}

function makeInstruments(meter: Meter): InstrumentSet {
  const counter = ({ name, ...options }: { readonly name: string }): Counter =>
    meter.createCounter(name, options)
  const histogram = ({ name, ...options }: { readonly name: string }): Histogram =>
    meter.createHistogram(name, options)
  const gauges = Object.entries(GAUGES).map(([key, { name, ...options }]) => [
    key,
    meter.createObservableGauge(name, options),
  ])
  return {
    callDuration: histogram(EVENT_METRICS.callDuration),
    batchDuration: histogram(EVENT_METRICS.batchDuration),
    rotationRecords: counter(EVENT_METRICS.rotationRecords),
    promotions: counter(EVENT_METRICS.promotions),
    unexpectedKeks: counter(EVENT_METRICS.unexpectedKeks),
    faults: counter(EVENT_METRICS.faults),
    statusFailures: counter(EVENT_METRICS.statusFailures),
    gauges: Object.fromEntries(gauges) as Record<GaugeName, Observable>,
  }
}
