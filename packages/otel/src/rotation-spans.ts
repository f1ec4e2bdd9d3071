import type { Span, SpanContext } from '@opentelemetry/api'
import { ROOT_CONTEXT, SpanStatusCode } from '@opentelemetry/api'
import type { VaultEvent } from '@talos/envelope'
import type { CallSpans } from './call-spans.ts'
import { ATTRIBUTE } from './names.ts'

type EventOf<T extends VaultEvent['type']> = Extract<VaultEvent, { readonly type: T }>

/** Counted over the batches of one instance. */
const TALLIED = ['records', 'rewrapped', 'changed', 'deleted', 'failed'] as const
const TALLY_ATTRIBUTES = {
  records: ATTRIBUTE.rotationRecords,
  rewrapped: ATTRIBUTE.rotationRewrapped,
  changed: ATTRIBUTE.rotationChanged,
  deleted: ATTRIBUTE.rotationDeleted,
  failed: ATTRIBUTE.rotationFailed,
}

/** SDKs keep 128 events of a span: enough for passes when a quarantine that is long takes no more than this. */
const MOST_QUARANTINED = 64
/** How long after the last event an instance counts as not working on an operation any more: a batch may wait long for the rate. */
const QUIET_MS = 5 * 60_000
/** The same once the operation was paused or has ended before its time: batches that are being written are still told. */
const ENDING_MS = 5000
/** Rotations that a call began and that no batch was heard of yet. */
const MOST_BEGUN = 16

interface Work {
  readonly span: Span
  readonly tally: Record<(typeof TALLIED)[number], number>
  batches: number
  quarantined: number
  pass: number
  isEnding: boolean
  lastMs: number
}

/**
 * One span for each operation that this instance works on: from its first batch to the end of the operation, or until nothing was
 * heard of it for five minutes, with an event for each pass. A span for each batch would be a thousand for a million records; what
 * batches cost is in the metrics.
 */
export class RotationSpans {
  readonly #spans: CallSpans
  readonly #now: () => number
  readonly #work = new Map<string, Work>()
  readonly #heard = new Map<string, EventOf<'rotation'>>()
  readonly #begunBy = new Map<string, SpanContext>()

  /** @param now - The wall clock, in milliseconds since 1970. */
  constructor(spans: CallSpans, now: () => number) {
    this.#spans = spans
    this.#now = now
  }

  onEvent(event: VaultEvent): void {
    if (event.type === 'rotation') this.#onRotation(event)
    else if (event.type === 'rotation_batch') this.#onBatch(event)
    else if (event.type === 'quarantined') this.#onQuarantined(event)
  }

  /** Links the operation's span to that of the call which began or joined it. */
  onRotate(rotationId: string, begunBy: SpanContext): void {
    const work = this.#work.get(rotationId)
    if (work === undefined) keep(this.#begunBy, rotationId, begunBy)
    else work.span.addLink({ context: begunBy })
  }

  /** Ends the spans of operations that nothing was heard of for a while: others work on them, or nobody. */
  endQuiet(): void {
    for (const [id, { lastMs, isEnding }] of this.#work)
      if (this.#now() - lastMs >= (isEnding ? ENDING_MS : QUIET_MS)) this.#end(id)
  }

  endAll(): void {
    for (const id of this.#work.keys()) this.#end(id)
  }

  #onRotation(event: EventOf<'rotation'>): void {
    const { operationId, status, pass } = event
    if (status === 'running') keep(this.#heard, operationId, event)
    const work = this.#work.get(operationId)
    if (work === undefined) return
    work.lastMs = this.#now()
    if (pass > work.pass) this.#beginPass(work, pass)
    work.span.setAttribute(ATTRIBUTE.kekId, event.targetKekId)
    // Workers that have not yet heard of the end go on telling what they know.
    if (status === 'running' && work.isEnding) return
    work.isEnding = status !== 'running'
    work.span.setAttribute(ATTRIBUTE.rotationStatus, status)
    if (status === 'failed') work.span.setStatus({ code: SpanStatusCode.ERROR, message: status })
    if (status === 'completed') this.#end(operationId)
  }

  #onBatch(batch: EventOf<'rotation_batch'>): void {
    const { operationId, planMs, writeMs, dryRun } = batch
    const work = this.#work.get(operationId) ?? this.#begin(operationId, this.#now() - planMs - writeMs)
    if (work.batches === 0) work.span.setAttribute(ATTRIBUTE.rotationDryRun, dryRun)
    for (const member of TALLIED) work.tally[member] += batch[member]
    work.batches += 1
    work.lastMs = this.#now()
  }

  #onQuarantined({ operationId, kekId, reason }: EventOf<'quarantined'>): void {
    // The records of a batch are told before the batch.
    const work = this.#work.get(operationId) ?? this.#begin(operationId, this.#now())
    if (work.quarantined >= MOST_QUARANTINED) return
    work.quarantined += 1
    const attributes = { [ATTRIBUTE.reason]: reason, ...(kekId === null ? {} : { [ATTRIBUTE.kekId]: kekId }) }
    work.span.addEvent('talos.envelope.rotation.quarantined', attributes, this.#now())
  }

  #begin(operationId: string, startTime: number): Work {
    const heard = this.#heard.get(operationId)
    const begunBy = this.#begunBy.get(operationId)
    const attributes = {
      ...this.#spans.shared,
      [ATTRIBUTE.rotationId]: operationId,
      [ATTRIBUTE.rotationStatus]: 'running',
      ...(heard === undefined ? {} : { [ATTRIBUTE.kekId]: heard.targetKekId }),
    }
    const links = begunBy === undefined ? [] : [{ context: begunBy }]
    const options = { root: true, attributes, links, startTime }
    // Whatever was active where the work began has ended long before the work does.
    const span = this.#spans.tracer().startSpan('talos.envelope.rotation', options, ROOT_CONTEXT)
    const tally = { records: 0, rewrapped: 0, changed: 0, deleted: 0, failed: 0 }
    const work: Work = {
      span,
      tally,
      batches: 0,
      quarantined: 0,
      pass: 0,
      isEnding: false,
      lastMs: this.#now(),
    }
    this.#beginPass(work, heard?.pass ?? 1, startTime)
    this.#work.set(operationId, work)
    this.#begunBy.delete(operationId)
    return work
  }

  #beginPass(work: Work, pass: number, time = this.#now()): void {
    work.pass = pass
    work.span.setAttribute(ATTRIBUTE.rotationPass, pass)
    work.span.addEvent('talos.envelope.rotation.pass', { [ATTRIBUTE.rotationPass]: pass }, time)
  }

  #end(operationId: string): void {
    this.#heard.delete(operationId)
    const work = this.#work.get(operationId)
    if (work === undefined) return
    this.#work.delete(operationId)
    for (const member of TALLIED) work.span.setAttribute(TALLY_ATTRIBUTES[member], work.tally[member])
    work.span.setAttribute(ATTRIBUTE.rotationBatches, work.batches)
    work.span.end(work.lastMs)
  }
}

/** Keeps the newest few: an operation that is only heard of never says that it is over. */
function keep<T>(map: Map<string, T>, id: string, value: T): void {
  map.delete(id)
  map.set(id, value)
  const [oldest] = map.keys()
  if (map.size > MOST_BEGUN && oldest !== undefined) map.delete(oldest)
}
