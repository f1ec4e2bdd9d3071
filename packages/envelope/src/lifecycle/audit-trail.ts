import { isEnvelopeError, LifecycleError } from '../errors.ts'
import type { EventListener } from '../events.ts'
import { type Runtime, timestamp, uuidV7 } from '../runtime.ts'
import type { CallOptions } from '../store/secret-store.ts'
import type { AuditAction, AuditDetails, AuditEvent, AuditSink } from './audit.ts'
import { checkAuditText, fit, fitDetails } from './audit-text.ts'

/** What is about to be done. */
export interface AuditEntry {
  readonly action: AuditAction
  readonly kekId?: string | null
  /** Epoch that the decision rests on. */
  readonly epoch?: number | null
  /** At most 1,024 characters, no control characters. */
  readonly reason?: string | null | undefined
  /** At most 256 characters, no control characters. */
  readonly actor?: string | null | undefined
  readonly details?: AuditDetails
}

/** What came of it. */
export interface AuditOutcome {
  /** Epoch of the keyring document that was written. */
  readonly epoch?: number
  /** Where the entry could not know it. */
  readonly kekId?: string
  /** Added to those of the entry. */
  readonly details?: AuditDetails
}

/** Whether the work may be done without a record of it: `destructive` never, `routine` always. */
export type AuditMode = 'destructive' | 'routine'

/** A piece of work. Gives `note` what came of it; several calls add up. */
export type AuditedWork<T> = (note: (outcome: AuditOutcome) => void) => Promise<T>

/** Records intent and outcome around what changes the state of a keyring domain. */
export interface AuditTrail {
  /**
   * Does a piece of work and records it.
   *
   * `destructive`: the work is not begun unless its intent is kept. `routine`, such as a rotation or a promotion by itself:
   * the sink never stops or delays the work. An event that could not be written is told as a `fault` event and waits in
   * memory, together with at most 99 others, for the next event or `flush`.
   *
   * @param entry - What is about to be done.
   * @param mode - Whether the work may be done without a record of it.
   * @param work - The work.
   * @param options - When to give up writing the intent. @defaultValue 10 s
   * @returns What the work returned, also when its outcome could not be written.
   * @throws TypeError for a reason or an actor that is too long or holds control characters. The work was not begun.
   * @throws LifecycleError `ERR_AUDIT_UNAVAILABLE`: the intent of a destructive step could not be written, and the work was
   * not begun.
   */
  around<T>(entry: AuditEntry, mode: AuditMode, work: AuditedWork<T>, options?: CallOptions): Promise<T>
  /** Tries once more to write what waits, for at most 10 s. Never rejects; without anything waiting it asks nobody. */
  flush(): Promise<void>
}

/** What a trail is made of. */
export interface AuditTrailParts {
  readonly sink: AuditSink
  readonly runtime: Runtime
  readonly namespace: string
  readonly instanceId: string
  /** Hears faults of the sink. Must not throw. */
  readonly emit: EventListener
}

const DEFAULT_TIMEOUT_MS = 10_000
const MOST_WAITING = 100
const REASON_CHARACTERS = 1_024
const ACTOR_CHARACTERS = 256

/** Makes the audit trail of one instance. */
export function auditTrail(parts: AuditTrailParts): AuditTrail {
  const { sink, runtime, emit } = parts
  const who = {
    namespace: fit(parts.namespace),
    instanceId: parts.instanceId,
    process: fit(runtime.processName),
  }
  const waiting = new Set<AuditEvent>()
  let draining: Promise<void> | null = null

  const fault = (event: AuditEvent, code: string, what: string): void => {
    const message = `The audit event "${event.phase}" of ${concerning(event)} ${what}.`
    emit({ type: 'fault', during: 'audit', code, message })
  }

  const writeWaiting = async (): Promise<void> => {
    let told = false
    // What is added meanwhile is visited as well.
    for (const event of waiting) {
      try {
        await within(runtime, {}, (options) => sink.append(event, options))
        waiting.delete(event)
      } catch (error) {
        if (!told) fault(event, codeOf(error), 'could not be written and waits in memory')
        told = true
        // An outage meets every event. Anything else may be about this one, and holds up none behind it.
        if (isEnvelopeError(error)) break
      }
    }
    draining = null
  }

  const flush = async (): Promise<void> => {
    if (waiting.size === 0) return
    draining ??= Promise.resolve().then(writeWaiting)
    await draining
  }

  /** Whether the newest has to go: the first that waited is about something that was done before the outage. */
  const dropExcess = (newest: AuditEvent): boolean => {
    if (![...waiting].slice(MOST_WAITING).includes(newest)) return false
    waiting.delete(newest)
    const others = `${MOST_WAITING} others wait already`
    fault(newest, 'ERR_AUDIT_UNAVAILABLE', `is lost, since ${others}. See that the audit sink works`)
    return true
  }

  const enqueue = async (event: AuditEvent): Promise<void> => {
    waiting.add(event)
    await flush()
    dropExcess(event)
  }

  /** Beside those of other calls, where there is nothing that it must not overtake: its intent is kept, and none waits. */
  const append = async (event: AuditEvent): Promise<void> => {
    try {
      await within(runtime, {}, (options) => sink.append(event, options))
    } catch (error) {
      waiting.add(event)
      if (!dropExcess(event)) fault(event, codeOf(error), 'could not be written and waits in memory')
    }
  }

  const record = (
    { action, kekId = null, reason = null, actor = null, details = {} }: AuditEntry,
    phase: AuditEvent['phase'],
    epoch: number | null,
  ): AuditEvent =>
    Object.freeze({
      id: uuidV7(runtime),
      at: timestamp(runtime),
      action,
      phase,
      ...who,
      kekId: kekId === null ? null : fit(kekId),
      epoch,
      reason,
      actor,
      details: fitDetails(details),
    })

  return {
    flush: () => within(runtime, {}, flush).catch(() => {}),
    async around<T>(entry: AuditEntry, mode: AuditMode, work: AuditedWork<T>, options: CallOptions = {}) {
      checkAuditText('reason', entry.reason, REASON_CHARACTERS)
      checkAuditText('actor', entry.actor, ACTOR_CHARACTERS)
      const intent = record(entry, 'intent', entry.epoch ?? null)
      const finish = (phase: 'done' | 'failed', noted: AuditOutcome, own: AuditDetails): Promise<void> => {
        const details = { ...entry.details, ...noted.details, intentId: intent.id, ...own }
        const outcome = { ...entry, kekId: noted.kekId ?? intent.kekId, details }
        const event = record(outcome, phase, noted.epoch ?? null)
        const written = mode === 'routine' || waiting.size > 0 ? enqueue(event) : append(event)
        // What was done is done: its caller waits for a sink that is silent, but not for long.
        return mode === 'routine' ? Promise.resolve() : within(runtime, {}, () => written).catch(() => {})
      }
      if (mode === 'routine') {
        void enqueue(intent)
      } else {
        try {
          await within(runtime, options, async (call) => {
            await flush()
            if (!call.signal.aborted) await sink.append(intent, call)
          })
        } catch (error) {
          // The sink may have kept the intent all the same: whoever reads it is told that nothing followed.
          void finish('failed', {}, { code: 'ERR_AUDIT_UNAVAILABLE' })
          throw unavailable(intent, error)
        }
      }
      let noted: AuditOutcome = {}
      const note = (more: AuditOutcome): void => {
        noted = { ...noted, ...more, details: { ...noted.details, ...more.details } }
      }
      let result: T
      try {
        result = await work(note)
      } catch (error) {
        await finish('failed', noted, { code: codeOf(error) })
        throw error
      }
      await finish('done', noted, {})
      return result
    },
  }
}

/** Gives a call up when its time is over, whether it heeds its signal or not. */
function within(
  runtime: Runtime,
  { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: CallOptions,
  call: (options: { readonly signal: AbortSignal; readonly timeoutMs: number }) => Promise<void>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const ending = new AbortController()
    const tidy = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', giveUp)
    }
    const giveUp = (): void => {
      tidy()
      ending.abort()
      reject(new LifecycleError('ERR_AUDIT_UNAVAILABLE', 'The audit sink was not waited for any longer.'))
    }
    const timer = runtime.timer(giveUp, timeoutMs)
    signal?.addEventListener('abort', giveUp)
    if (signal?.aborted === true) return giveUp()
    // What a sink throws before it returns a promise counts like a rejection.
    Promise.resolve()
      .then(() => call({ signal: ending.signal, timeoutMs }))
      .finally(tidy)
      .then(resolve, reject)
  })
}

function codeOf(error: unknown): string {
  return isEnvelopeError(error) ? error.code : 'unexpected'
}

function concerning({ action, kekId }: AuditEvent): string {
  return kekId === null ? `"${action}"` : `"${action}" of KEK "${kekId}"`
}

function unavailable(intent: AuditEvent, cause: unknown): LifecycleError {
  const message =
    `The audit trail could not be written (${codeOf(cause)}), so ${concerning(intent)} was not begun and nothing was ` +
    'changed. See that the audit sink works, then try again.'
  return new LifecycleError('ERR_AUDIT_UNAVAILABLE', message, { retryable: true, cause })
}
