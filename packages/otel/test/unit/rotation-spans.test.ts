import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { VaultEvent } from '@talos/envelope'
import { describe, expect, it } from 'vitest'
import { RotationSpans } from '../../src/rotation-spans.ts'
import { short, type TestSdk, testSdk } from '../support/sdk.ts'

const START = Date.UTC(2030, 0, 1)
const TOTALS = { scanned: 0, rewrapped: 0, failed: 0 }

interface Scene {
  readonly sdk: TestSdk
  readonly spans: RotationSpans
  pass(milliseconds: number): void
  rotation(status: string, pass?: number, id?: string): void
  batch(of?: Partial<Extract<VaultEvent, { type: 'rotation_batch' }>>, id?: string): void
  /** The only span that has ended. */
  ended(): ReadableSpan
}

function scene(): Scene {
  const sdk = testSdk()
  let now = START
  const shared = { 'talos.envelope.namespace': 'gateway' }
  const spans = new RotationSpans({ tracer: () => sdk.tracerProvider.getTracer('test'), shared }, () => now)
  return {
    sdk,
    spans,
    pass: (milliseconds) => {
      now += milliseconds
    },
    rotation: (status, pass = 1, operationId = 'one') =>
      spans.onEvent({
        ...TOTALS,
        type: 'rotation',
        operationId,
        status,
        pass,
        targetKekId: 'v2',
        dryRun: false,
      }),
    batch: (of = {}, operationId = 'one') =>
      spans.onEvent({
        type: 'rotation_batch',
        operationId,
        dryRun: false,
        records: 10,
        rewrapped: 10,
        changed: 0,
        deleted: 0,
        failed: 0,
        planMs: 4,
        writeMs: 6,
        ...of,
      }),
    ended() {
      const [span, ...others] = sdk.spans()
      if (span === undefined || others.length > 0) throw new Error(`${sdk.spans().length} spans have ended`)
      return span
    },
  }
}

const milliseconds = ([seconds, nanoseconds]: readonly [number, number]): number =>
  seconds * 1000 + nanoseconds / 1e6 - START

describe('the span of a rotation', () => {
  it('reaches from the first batch of this instance to the end, with its passes and what it did', () => {
    const { pass, rotation, batch, ended } = scene()
    rotation('running')
    pass(1000)
    batch()
    pass(500)
    batch({ records: 8, rewrapped: 4, changed: 1, deleted: 2 })
    rotation('running', 2)
    pass(500)
    rotation('completed', 2)
    const span = ended()
    expect(span.name).toBe('talos.envelope.rotation')
    expect([milliseconds(span.startTime), milliseconds(span.endTime)]).toEqual([990, 2000])
    expect(short(span.attributes)).toEqual({
      'kek.id': 'v2',
      'rotation.id': 'one',
      'rotation.dry_run': false,
      'rotation.status': 'completed',
      'rotation.pass': 2,
      'rotation.batches': 2,
      'rotation.records': 18,
      'rotation.rewrapped': 14,
      'rotation.changed': 1,
      'rotation.deleted': 2,
      'rotation.failed': 0,
    })
    const events = span.events.map(({ name, time, attributes }) => [
      name,
      milliseconds(time),
      short(attributes ?? {}),
    ])
    expect(events).toEqual([
      ['talos.envelope.rotation.pass', 990, { 'rotation.pass': 1 }],
      ['talos.envelope.rotation.pass', 1500, { 'rotation.pass': 2 }],
    ])
    expect(span.status.code).toBe(SpanStatusCode.UNSET)
  })

  it('that ends as failed is an error, with the reasons of its quarantine, which are told before their batch', () => {
    const { spans, pass, rotation, batch, ended } = scene()
    rotation('running')
    spans.onEvent({ type: 'quarantined', operationId: 'one', kekId: 'v1', reason: 'wrap_corrupt' })
    spans.onEvent({ type: 'quarantined', operationId: 'one', kekId: null, reason: 'metadata_damaged' })
    batch({ records: 2, rewrapped: 0, failed: 2 })
    rotation('failed')
    pass(5000)
    spans.endQuiet()
    expect(ended().status).toEqual({ code: SpanStatusCode.ERROR, message: 'failed' })
    expect(
      ended()
        .events.slice(1)
        .map(({ attributes }) => short(attributes ?? {})),
    ).toEqual([{ reason: 'wrap_corrupt', 'kek.id': 'v1' }, { reason: 'metadata_damaged' }])
  })

  it('keeps its passes however long the quarantine is', () => {
    const { spans, rotation, batch, ended } = scene()
    batch()
    for (let n = 0; n < 1000; n += 1)
      spans.onEvent({ type: 'quarantined', operationId: 'one', kekId: 'v1', reason: 'wrap_corrupt' })
    rotation('running', 2)
    rotation('failed', 2)
    spans.endAll()
    expect(ended().events).toHaveLength(66)
    expect(ended().events.at(-1)?.attributes).toEqual({ 'talos.envelope.rotation.pass': 2 })
  })

  it('is not made where this instance only hears of an operation', () => {
    const { sdk, spans, rotation } = scene()
    for (let n = 0; n < 100; n += 1) rotation('running', 1, `operation-${n}`)
    rotation('completed')
    spans.endAll()
    expect(sdk.spans()).toEqual([])
  })

  it('ends when nothing was heard of the operation for five minutes, at the last that was', () => {
    const { sdk, spans, pass, batch, ended } = scene()
    batch()
    pass(5 * 60_000 - 1)
    spans.endQuiet()
    expect(sdk.spans()).toEqual([])
    pass(1)
    spans.endQuiet()
    expect(milliseconds(ended().endTime)).toBe(0)
    expect(ended().attributes['talos.envelope.rotation.status']).toBe('running')
  })

  it('ends soon after a pause, with the batches that were being written, and another one begins after the resume', () => {
    const { sdk, spans, pass, rotation, batch } = scene()
    batch()
    rotation('paused')
    batch()
    rotation('running')
    pass(4999)
    spans.endQuiet()
    expect(sdk.spans()).toEqual([])
    pass(1)
    spans.endQuiet()
    batch()
    rotation('completed')
    const told = sdk.spans().map(({ attributes }) => short(attributes))
    expect(told.map((of) => [of['rotation.status'], of['rotation.batches']])).toEqual([
      ['paused', 2],
      ['completed', 1],
    ])
  })

  it('is linked to the call that began it, whichever was told first, and is a child of nothing', () => {
    const { sdk, spans, rotation, batch } = scene()
    sdk.register()
    const call = trace.getTracer('test').startSpan('call')
    const begunBy = call.spanContext()
    context.with(trace.setSpan(context.active(), call), () => {
      spans.onRotate('one', begunBy)
      batch({}, 'one')
      batch({}, 'two')
      spans.onRotate('two', begunBy)
    })
    rotation('completed', 1, 'one')
    rotation('completed', 1, 'two')
    for (const span of sdk.spans()) {
      expect(span.links.map(({ context: linked }) => linked.spanId)).toEqual([begunBy.spanId])
      expect(span.parentSpanContext).toBeUndefined()
    }
    expect(sdk.spans()).toHaveLength(2)
  })
})
