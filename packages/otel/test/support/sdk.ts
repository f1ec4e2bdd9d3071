import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  DataPointType,
  MeterProvider,
  MetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { onTestFinished } from 'vitest'

/** A reader that collects when it is told to. */
class HeldReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** One data point, with its attributes written without their common prefix. */
export interface Point {
  readonly attributes: Readonly<Record<string, unknown>>
  readonly value: unknown
}

export interface TestSdk {
  readonly meterProvider: MeterProvider
  readonly tracerProvider: TracerProvider
  readonly spans: () => readonly ReadableSpan[]
  /** Collects, and answers the points of every metric by its name without `talos.envelope.`. */
  collect(): Promise<Map<string, readonly Point[]>>
  /** Everything that the last collections and the spans would have exported, as text. */
  exported(): string
  /** Registers both providers and a context manager globally. */
  register(): void
}

export function testSdk(temporality: 'cumulative' | 'delta' = 'cumulative'): TestSdk {
  const selected = temporality === 'delta' ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE
  const reader = new HeldReader({ aggregationTemporalitySelector: () => selected })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const collected: unknown[] = []
  return {
    meterProvider,
    tracerProvider,
    spans: () => exporter.getFinishedSpans(),
    async collect() {
      const { resourceMetrics, errors } = await reader.collect()
      if (errors.length > 0) throw errors[0]
      const found = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
      collected.push(found)
      return new Map(
        found.map(({ descriptor, dataPoints, dataPointType }) => [
          descriptor.name.replace('talos.envelope.', ''),
          dataPoints.map(({ attributes, value }) => ({
            attributes: short(attributes),
            value:
              dataPointType === DataPointType.HISTOGRAM ? (value as { readonly count: number }).count : value,
          })),
        ]),
      )
    },
    exported() {
      const spans = exporter
        .getFinishedSpans()
        .map(({ name, attributes, events, links, status }) => ({ name, attributes, events, links, status }))
      return JSON.stringify([collected, spans])
    },
    register() {
      metrics.setGlobalMeterProvider(meterProvider)
      trace.setGlobalTracerProvider(tracerProvider)
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
      onTestFinished(() => {
        for (const api of [metrics, trace, context]) api.disable()
      })
    },
  }
}

/** Attributes without their common prefix, and without the namespace that all have. */
export function short(attributes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(attributes).map(([key, value]) => [
    key.replace('talos.envelope.', ''),
    value,
  ])
  return Object.fromEntries(entries.filter(([key]) => key !== 'namespace'))
}

/** The value of a metric that has one point, or of the only point with these attributes. */
export function pointOf(
  collected: ReadonlyMap<string, readonly Point[]>,
  name: string,
  attributes: Readonly<Record<string, unknown>> = {},
): unknown {
  const points = (collected.get(name) ?? []).filter((point) =>
    Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
  )
  if (points.length > 1) throw new Error(`${name} has ${points.length} points`)
  return points[0]?.value
}
