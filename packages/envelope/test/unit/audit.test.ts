import {
  type AuditEvent,
  type AuditSink,
  type CallOptions,
  LifecycleError,
  MemoryStore,
  StoreAudit,
  type VaultEvent,
} from '@talos/envelope'
import { heldClock, interceptStore } from '@talos/envelope/testing'
import { describe, expect, test } from 'vitest'
import type { AuditDetails } from '../../src/lifecycle/audit.ts'
import { type AuditTrail, auditTrail } from '../../src/lifecycle/audit-trail.ts'
import { outcomeUnknown, seededRandom, unavailable } from '../support/vaults.ts'

type Answer = (event: AuditEvent, options: CallOptions | undefined) => Promise<void>

/** A trail whose sink keeps what `answer` lets through. */
function bench(names: { readonly namespace?: string; readonly processName?: string } = {}) {
  const clock = heldClock()
  const kept: AuditEvent[] = []
  const told: VaultEvent[] = []
  const keep: Answer = async (event) => {
    kept.push(event)
  }
  const sink = { answer: keep }
  const trail = auditTrail({
    sink: { append: (event, options) => sink.answer(event, options) },
    runtime: { ...clock.runtime, processName: names.processName ?? 'web-1/4711' },
    namespace: names.namespace ?? 'gateway',
    instanceId: 'i-1',
    emit: (event) => told.push(event),
  })
  return {
    clock,
    trail,
    kept,
    told,
    answerWith(answer: Answer) {
      sink.answer = answer
    },
    mend() {
      sink.answer = keep
    },
    /** `phase action` of what was kept, in order. */
    phases: () => kept.map(({ phase, action }) => `${phase} ${action}`),
  }
}

const down: Answer = () => Promise.reject(unavailable())
const silent: Answer = () => new Promise(() => {})
const RETIRE = {
  action: 'retire',
  kekId: 'v1',
  epoch: 3,
  reason: 'replaced by v2',
  actor: 'ops@example.org',
} as const
const PROMOTE = { action: 'promote', kekId: 'v2' } as const

function retire(trail: AuditTrail, work: () => Promise<unknown> = async () => {}): Promise<unknown> {
  return trail.around(RETIRE, 'destructive', work)
}

describe('what is recorded', () => {
  test('the intent before the work, then the outcome with the epoch and the id of the intent', async () => {
    const { trail, kept, clock } = bench()
    const result = await trail.around(
      { ...RETIRE, details: { verdict: 'SAFE' } },
      'destructive',
      async (note) => {
        expect(kept).toHaveLength(1)
        await clock.advance(1_500)
        note({ details: { records: 0 } })
        note({ epoch: 4, details: { fenced: true } })
        return 'retired'
      },
    )
    expect(result).toBe('retired')
    const common = {
      action: 'retire',
      namespace: 'gateway',
      instanceId: 'i-1',
      process: 'web-1/4711',
      kekId: 'v1',
      reason: 'replaced by v2',
      actor: 'ops@example.org',
    }
    const [intent, done] = kept
    expect(kept).toEqual([
      {
        ...common,
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
        at: '2030-01-01T00:00:00.000Z',
        phase: 'intent',
        epoch: 3,
        details: { verdict: 'SAFE' },
      },
      {
        ...common,
        id: expect.any(String),
        at: '2030-01-01T00:00:01.500Z',
        phase: 'done',
        epoch: 4,
        details: { verdict: 'SAFE', records: 0, fenced: true, intentId: intent?.id },
      },
    ])
    expect(done?.id).not.toBe(intent?.id)
    expect([intent, intent?.details, done, done?.details].every(Object.isFrozen)).toBe(true)
  })

  test('work that fails leaves its stable code and is thrown on unchanged', async () => {
    const { trail, kept } = bench()
    const error = new LifecycleError('ERR_PROMOTION_BLOCKED', 'CANARY in words')
    await expect(retire(trail, () => Promise.reject(error))).rejects.toBe(error)
    await expect(retire(trail, () => Promise.reject(new Error('CANARY')))).rejects.toThrow('CANARY')
    expect(kept.map(({ phase, epoch, details }) => [phase, epoch, details['code']])).toEqual([
      ['intent', 3, undefined],
      ['failed', null, 'ERR_PROMOTION_BLOCKED'],
      ['intent', 3, undefined],
      ['failed', null, 'unexpected'],
    ])
    expect(JSON.stringify(kept)).not.toContain('CANARY')
  })

  test('what the entry leaves out is null, and the work may name the KEK', async () => {
    const { trail, kept } = bench()
    await trail.around({ action: 'reload', reason: undefined }, 'routine', async (note) =>
      note({ kekId: 'v3' }),
    )
    await trail.flush()
    const empty = { epoch: null, reason: null, actor: null }
    expect(kept).toMatchObject([
      { ...empty, phase: 'intent', kekId: null, details: {} },
      { ...empty, phase: 'done', kekId: 'v3' },
    ])
  })

  test.each([
    ['a reason of 1,025 characters', { reason: 'x'.repeat(1_025) }, 'reason is a text of at most 1,024'],
    ['an actor of 257 characters', { actor: 'x'.repeat(257) }, 'actor is a text of at most 256'],
    ['a line break', { reason: 'a\nretire of v2 by root' }, 'without control characters'],
    ['an escape sequence', { actor: '\u001b[2K' }, 'without control characters'],
    ['a C1 control', { actor: 'a\u0085b' }, 'without control characters'],
    ['a line separator', { reason: 'a\u2028b' }, 'without control characters'],
    ['text that runs backwards', { reason: 'a\u202eb' }, 'without control characters'],
    ['half a character', { reason: 'a\ud800' }, 'without control characters'],
    ['a number', { actor: 7 as unknown as string }, 'actor is a text'],
  ])('%s is refused before anything is begun or recorded', async (_, given, message) => {
    const { trail, kept } = bench()
    for (const mode of ['destructive', 'routine'] as const) {
      let begun = false
      const around = trail.around({ ...RETIRE, ...given }, mode, async () => {
        begun = true
      })
      await expect(around).rejects.toThrow(TypeError)
      await expect(around).rejects.toThrow(message)
      expect(begun).toBe(false)
    }
    expect(kept).toEqual([])
  })

  test('the longest texts of all kinds are taken, and make an event that a store keeps', async () => {
    const { trail, kept } = bench({ namespace: '界'.repeat(200), processName: '"\u0000'.repeat(100) })
    const details: AuditDetails = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`${index}${'界'.repeat(200)}`, '界'.repeat(200)]),
    )
    const reason = '界'.repeat(1_024)
    const entry = { ...RETIRE, reason, actor: '😀'.repeat(128), kekId: '\n'.repeat(200), details }
    await trail.around(entry, 'destructive', async () => {})
    const [intent, done] = kept as [AuditEvent, AuditEvent]
    expect([intent.reason, intent.actor]).toEqual([reason, '😀'.repeat(128)])
    expect(intent.kekId).toBe('\\u{a}'.repeat(26).slice(0, 128))
    expect(intent.process).toBe('"\\u{0}'.repeat(50).slice(0, 128))
    expect(Object.keys(done.details)).toHaveLength(16)
    expect(done.details['intentId']).toBe(intent.id)
    const store = new StoreAudit(new MemoryStore(), heldClock().runtime)
    await store.append(intent)
    await store.append(done)
    expect((await store.list({ cursor: null, limit: 9 })).items).toEqual([done, intent])
    console.log(`the largest event has ${Buffer.byteLength(JSON.stringify(done))} bytes of 16,384`)
  })
})

describe('a destructive step', () => {
  test.each([
    ['is unavailable', down, 'ERR_STORE_UNAVAILABLE'],
    [
      'does not say whether it kept it',
      (() => Promise.reject(outcomeUnknown())) as Answer,
      'ERR_STORE_OUTCOME_UNKNOWN',
    ],
    ['fails in words of its own', (() => Promise.reject(new Error('CANARY'))) as Answer, 'unexpected'],
    [
      'throws at once',
      (() => {
        throw new Error('CANARY')
      }) as Answer,
      'unexpected',
    ],
  ])('F27: is not begun when the sink %s', async (_, answer, code) => {
    const { trail, answerWith, told } = bench()
    answerWith(answer)
    let begun = false
    const error: unknown = await retire(trail, async () => {
      begun = true
    }).catch((reason: unknown) => reason)
    expect(begun).toBe(false)
    expect(error).toBeInstanceOf(LifecycleError)
    expect(error).toMatchObject({
      code: 'ERR_AUDIT_UNAVAILABLE',
      retryable: true,
      message:
        `The audit trail could not be written (${code}), so "retire" of KEK "v1" was not begun and nothing was changed. ` +
        'See that the audit sink works, then try again.',
    })
    await trail.flush()
    expect(JSON.stringify(told)).not.toContain('CANARY')
  })

  test('is not begun when the sink is silent for 10 s, or for as long as its caller waits', async () => {
    const { trail, answerWith, clock } = bench()
    const signals: (AbortSignal | undefined)[] = []
    answerWith((_event, options) => {
      signals.push(options?.signal)
      return silent(_event, options)
    })
    let begun = 0
    const attempt = (options?: CallOptions) =>
      trail
        .around(
          RETIRE,
          'destructive',
          async () => {
            begun += 1
          },
          options,
        )
        .then(
          () => 'done',
          (error: LifecycleError) => error.code,
        )
    const patient = attempt()
    await clock.advance(9_999)
    expect(await Promise.race([patient, 'waiting'])).toBe('waiting')
    await clock.advance(1)
    expect(await patient).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(signals[0]?.aborted).toBe(true)

    const hasty = attempt({ timeoutMs: 200 })
    await clock.advance(200)
    expect(await hasty).toBe('ERR_AUDIT_UNAVAILABLE')
    const controller = new AbortController()
    const aborted = attempt({ signal: controller.signal })
    controller.abort()
    expect(await aborted).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(await attempt({ signal: controller.signal })).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(begun).toBe(0)
  })

  test('whose caller gave up while earlier events were still tried leaves no intent behind', async () => {
    const { trail, answerWith, mend, clock, phases } = bench()
    answerWith(silent)
    await trail.around(PROMOTE, 'routine', async () => {})
    const step = trail.around(RETIRE, 'destructive', async () => {}, { timeoutMs: 200 })
    const refused = expect(step).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE' })
    await clock.advance(200)
    await refused
    mend()
    await clock.advance(60_000)
    await trail.flush()
    expect(phases()).toEqual(['intent promote', 'done promote', 'failed retire'])
  })

  test('that was not begun says so once the sink is back: it may have kept the intent', async () => {
    const { trail, kept, answerWith, mend, phases } = bench()
    answerWith(async (event) => {
      kept.push(event)
      throw outcomeUnknown()
    })
    await expect(retire(trail)).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE' })
    await trail.flush()
    const [intent] = kept
    kept.length = 0
    mend()
    await trail.flush()
    expect(phases()).toEqual(['failed retire'])
    expect(kept[0]?.details).toEqual({ intentId: intent?.id, code: 'ERR_AUDIT_UNAVAILABLE' })
  })

  test('whose outcome cannot be written answers all the same, says so, and writes it before the next step', async () => {
    const { trail, answerWith, mend, phases, told } = bench()
    const result = await retire(trail, async () => {
      answerWith(down)
      return 'retired'
    })
    expect(result).toBe('retired')
    expect(phases()).toEqual(['intent retire'])
    expect(told).toEqual([
      {
        type: 'fault',
        during: 'audit',
        code: 'ERR_STORE_UNAVAILABLE',
        message: 'The audit event "done" of "retire" of KEK "v1" could not be written and waits in memory.',
      },
    ])
    mend()
    await retire(trail)
    expect(phases()).toEqual(['intent retire', 'done retire', 'intent retire', 'done retire'])
  })

  test('whose outcome meets a silent sink answers after 10 s', async () => {
    const { trail, answerWith, mend, clock, phases } = bench()
    const step = retire(trail, async () => {
      answerWith(silent)
      return 'retired'
    })
    await clock.advance(10_000)
    expect(await step).toBe('retired')
    mend()
    await trail.flush()
    expect(phases()).toEqual(['intent retire', 'done retire'])
  })

  test('has its outcome written beside those of others that end at the same time', async () => {
    const { trail, kept, answerWith } = bench()
    const all = Promise.withResolvers<void>()
    let waiting = 0
    answerWith(async (event) => {
      if (event.phase === 'done') {
        waiting += 1
        if (waiting === 3) all.resolve()
        await all.promise
      }
      kept.push(event)
    })
    await Promise.all([retire(trail), retire(trail), retire(trail)])
    expect(kept.map(({ phase }) => phase)).toEqual(['intent', 'intent', 'intent', 'done', 'done', 'done'])
  })

  test('whose outcome comes while another one waits is written behind that', async () => {
    const { trail, kept, answerWith, mend } = bench()
    await retire(trail, async () => answerWith(down))
    answerWith((event) => (event.phase === 'done' ? down(event, {}) : Promise.resolve(void kept.push(event))))
    await trail.around(PROMOTE, 'destructive', async () => mend())
    expect(kept.map(({ phase, action }) => `${phase} ${action}`)).toEqual([
      'intent retire',
      'intent promote',
      'done retire',
      'done promote',
    ])
  })

  test('of 102 whose outcomes meet an outage at once, 100 wait and 2 are told as lost and as nothing else', async () => {
    const { trail, told, answerWith, mend, phases } = bench()
    let begun = 0
    const step = () =>
      retire(trail, async () => {
        begun += 1
        if (begun === 102) answerWith(down)
        while (begun < 102) await Promise.resolve()
      })
    await Promise.all(Array.from({ length: 102 }, step))
    const messages = told.map((event) => (event.type === 'fault' ? event.message : ''))
    expect(messages.filter((message) => message.includes('waits in memory'))).toHaveLength(100)
    expect(messages.filter((message) => message.includes('is lost'))).toHaveLength(2)
    mend()
    await trail.flush()
    expect(phases().filter((phase) => phase === 'done retire')).toHaveLength(100)
  })

  test('that fails during an outage of the sink is thrown on, and its failure waits', async () => {
    const { trail, answerWith, mend, phases } = bench()
    const error = new Error('the work failed')
    const step = retire(trail, () => {
      answerWith(down)
      return Promise.reject(error)
    })
    await expect(step).rejects.toBe(error)
    mend()
    await trail.flush()
    expect(phases()).toEqual(['intent retire', 'failed retire'])
  })

  test('is not held up by an event of before that the sink refuses for itself', async () => {
    const { trail, kept, answerWith, phases } = bench()
    answerWith(async (event) => {
      if (event.kekId === 'poison') throw new Error('mapping conflict')
      kept.push(event)
    })
    await trail.around({ ...PROMOTE, kekId: 'poison' }, 'routine', async () => {})
    await trail.around(PROMOTE, 'routine', async () => {})
    await retire(trail)
    expect(phases()).toEqual(['intent promote', 'done promote', 'intent retire', 'done retire'])
  })
})

describe('routine work', () => {
  test.each([
    ['is down', down],
    ['is silent', silent],
  ])('neither fails nor waits when the sink %s, and is recorded in order afterwards', async (_, answer) => {
    const { trail, answerWith, mend, clock, phases, told } = bench()
    answerWith(answer)
    const startedMs = clock.runtime.monotonicMs()
    expect(await trail.around(PROMOTE, 'routine', async () => 'promoted')).toBe('promoted')
    await expect(
      trail.around({ action: 'rotate' }, 'routine', () => Promise.reject(new Error('x'))),
    ).rejects.toThrow('x')
    expect(clock.runtime.monotonicMs()).toBe(startedMs)
    await clock.advance(60_000)
    expect(phases()).toEqual([])
    expect(told).not.toEqual([])
    mend()
    await trail.flush()
    expect(phases()).toEqual(['intent promote', 'done promote', 'intent rotate', 'failed rotate'])
  })

  test('at most 100 events wait; the first ones stay, and each that is lost is told by name', async () => {
    const { trail, answerWith, mend, clock, kept, told } = bench()
    answerWith(down)
    for (let index = 0; index < 60; index += 1) {
      await trail.around({ action: 'rotate', details: { index } }, 'routine', async () => {})
    }
    await clock.settle()
    const lost = told.flatMap((event) =>
      event.type === 'fault' && event.message.includes('is lost') ? [event] : [],
    )
    expect(lost).toHaveLength(20)
    expect(lost[0]).toMatchObject({
      code: 'ERR_AUDIT_UNAVAILABLE',
      message:
        'The audit event "intent" of "rotate" is lost, since 100 others wait already. See that the audit sink works.',
    })
    mend()
    await trail.flush()
    expect(kept.map(({ details }) => details['index'])).toEqual(
      Array.from({ length: 100 }, (_, index) => Math.floor(index / 2)),
    )
    await trail.around({ action: 'rotate' }, 'routine', async () => {})
    await trail.flush()
    expect(kept).toHaveLength(102)
  })

  test('flush without anything waiting asks nobody, and never rejects', async () => {
    const { trail, answerWith, told } = bench()
    answerWith(() => Promise.reject(new Error('not to be asked')))
    await trail.flush()
    expect(told).toEqual([])
    await trail.around(PROMOTE, 'routine', async () => {})
    await trail.flush()
    expect(told.length).toBeGreaterThan(0)
  })

  test('flush waits 10 s at most, for a sink that takes long to refuse each of many events as well', async () => {
    const { trail, answerWith, clock } = bench()
    let tries = 0
    answerWith(async () => {
      tries += 1
      await new Promise<void>((resolve) => clock.runtime.timer(resolve, 4_000))
      throw new Error('refused')
    })
    for (let index = 0; index < 10; index += 1) await trail.around(PROMOTE, 'routine', async () => {})
    const flushed = trail.flush().then(() => 'over')
    await clock.advance(9_999)
    expect(await Promise.race([flushed, 'waiting'])).toBe('waiting')
    await clock.advance(1)
    expect(await flushed).toBe('over')
    expect(tries).toBe(3)
  })

  test('many pieces of work at once each leave one intent and one outcome', async () => {
    const { trail, kept, answerWith } = bench()
    const seen = new Set<string>()
    let calls = 0
    answerWith(async (event) => {
      calls += 1
      const lost = calls % 5 === 0
      await new Promise((resolve) => setImmediate(resolve))
      if (lost) throw unavailable()
      expect(seen.has(event.id)).toBe(false)
      seen.add(event.id)
      kept.push(event)
    })
    const work = Array.from({ length: 40 }, (_, index) =>
      trail.around({ action: 'rotate', details: { index } }, 'routine', async () => {}),
    )
    await Promise.all(work)
    while (kept.length < 80 && calls < 1_000) await trail.flush()
    expect(kept).toHaveLength(80)
    const intents = new Map(
      kept.flatMap(({ id, phase, details }) => (phase === 'intent' ? [[id, details]] : [])) as [],
    )
    const done = kept.filter(({ phase }) => phase === 'done')
    expect(new Set(done.map(({ details }) => details['intentId']))).toEqual(new Set(intents.keys()))
  })
})

describe('with the store as sink', () => {
  test('100 steps while every tenth call fails and every third answer is lost leave each event once, in pairs', async () => {
    const clock = heldClock()
    const store = new MemoryStore()
    const random = seededRandom(3)
    let mended = false
    const flawed = interceptStore(store, async ({ method, proceed }) => {
      if (mended) return await proceed()
      if (random() < 0.1) throw unavailable()
      const answer = await proceed()
      if (method === 'writeDocument' && random() < 0.3) throw outcomeUnknown()
      return answer
    })
    const told: VaultEvent[] = []
    const sink: AuditSink = new StoreAudit(flawed, clock.runtime)
    const parts = { sink, runtime: clock.runtime, namespace: 'gateway', instanceId: 'i-1' }
    const trail = auditTrail({ ...parts, emit: (event) => told.push(event) })
    let refused = 0
    let done = 0
    for (let index = 0; index < 100; index += 1) {
      await trail
        .around({ ...RETIRE, details: { index } }, 'destructive', async () => {
          done += 1
        })
        .catch(() => {
          refused += 1
        })
    }
    mended = true
    await trail.flush()
    const { items } = await new StoreAudit(store, clock.runtime).list({ cursor: null, limit: 1_000 })
    expect(new Set(items.map(({ id }) => id)).size).toBe(items.length)
    const intents = new Set(items.flatMap(({ id, phase }) => (phase === 'intent' ? [id] : [])))
    const outcomes = items.filter(({ phase }) => phase !== 'intent')
    expect([refused + done, told.some(({ type }) => type !== 'fault')]).toEqual([100, false])
    expect(refused).toBeGreaterThan(10)
    expect(outcomes.filter(({ phase }) => phase === 'done')).toHaveLength(done)
    expect(outcomes.filter(({ phase }) => phase === 'failed')).toHaveLength(refused)
    for (const { phase, details } of outcomes) {
      if (phase === 'done') expect(intents.has(String(details['intentId']))).toBe(true)
    }
    console.log(
      `100 steps on a flawed store: ${done} done, ${refused} refused, ${items.length} events, none doubled`,
    )
  })
})
