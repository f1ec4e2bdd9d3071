import {
  type AuditEvent,
  type AuditRetention,
  type AuditSink,
  MemoryStore,
  type SecretStore,
  StoreAudit,
} from '@talos/envelope'
import { type HeldClock, heldClock, interceptStore } from '@talos/envelope/testing'
import { describe, expect, test } from 'vitest'
import { uuidV7 } from '../../src/runtime.ts'
import { mortal, outcomeUnknown, seededRandom, unavailable } from '../support/vaults.ts'

const DAY_MS = 86_400_000

interface Bench {
  readonly clock: HeldClock
  readonly store: MemoryStore
  readonly audit: StoreAudit
  /** A new event whose reason is the given text. */
  readonly event: (reason: string) => AuditEvent
  /** The reasons of all events, newest first. */
  readonly reasons: (limit?: number) => Promise<readonly (string | null)[]>
  readonly keys: () => Promise<readonly string[]>
}

function bench(retention: AuditRetention = {}): Bench {
  const clock = heldClock()
  const store = new MemoryStore({ monotonicMs: clock.runtime.monotonicMs })
  const audit = new StoreAudit(store, clock.runtime, retention)
  return {
    clock,
    store,
    audit,
    event: (reason) => eventOf(clock, reason),
    reasons: async (limit = 70) => (await listed(audit, limit)).map(({ reason }) => reason),
    keys: async () =>
      (await store.listDocuments({ prefix: 'audit/', cursor: null, limit: 1_000 })).items.map(
        ({ key }) => key,
      ),
  }
}

function eventOf({ runtime }: HeldClock, reason: string, details: AuditEvent['details'] = {}): AuditEvent {
  return {
    id: uuidV7(runtime),
    at: new Date(runtime.now()).toISOString(),
    action: 'retire',
    phase: 'done',
    namespace: 'gateway',
    instanceId: 'i',
    process: 'test/1',
    kekId: 'v1',
    epoch: 3,
    reason,
    actor: null,
    details,
  }
}

/** Everything, by pages. */
async function listed(audit: StoreAudit, limit: number): Promise<readonly AuditEvent[]> {
  const events: AuditEvent[] = []
  let cursor: string | null = null
  do {
    const page = await audit.list({ cursor, limit })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    events.push(...page.items)
    cursor = page.next
  } while (cursor !== null)
  return events
}

async function fill(audit: AuditSink, event: Bench['event'], from: number, to: number): Promise<void> {
  for (let number = from; number < to; number += 1) await audit.append(event(String(number)))
}

/** `to - 1`, `to - 2` … `from`, as texts. */
function downFrom(to: number, from = 0): readonly string[] {
  return Array.from({ length: to - from }, (_, index) => String(to - 1 - index))
}

/** Full pages as earlier appends leave them, with a pointer: the events `0`, `1` … */
async function seedPages({ store, event }: Pick<Bench, 'store' | 'event'>, pages: number): Promise<void> {
  for (let page = 1; page <= pages; page += 1) {
    const events = downFrom(page * 50, page * 50 - 50)
      .toReversed()
      .map(event)
    await store.writeDocument(`audit/${page}`, 0, JSON.stringify(events))
  }
  await rewrite(store, 'audit', JSON.stringify({ newest: pages, oldest: 1 }))
}

async function rewrite(store: SecretStore, key: string, value: string): Promise<void> {
  const stored = await store.readDocument(key)
  if ((await store.writeDocument(key, stored?.revision ?? 0, value)) === null) throw new Error('not written')
}

describe('the trail in a store', () => {
  test('an empty store has an empty trail', async () => {
    const { audit } = bench()
    expect(await audit.list({ cursor: null, limit: 10 })).toEqual({ items: [], next: null, unreadable: [] })
  })

  test('four appenders of 500 events each lose none, double none and list newest first', async () => {
    const clock = heldClock()
    const store = new MemoryStore({ disorder: { random: seededRandom(7) } })
    const startedAt = performance.now()
    await Promise.all(
      Array.from({ length: 4 }, async (_, appender) => {
        const audit = new StoreAudit(store, clock.runtime)
        for (let number = 0; number < 500; number += 1)
          await audit.append(eventOf(clock, `${appender} ${number}`))
      }),
    )
    const elapsedMs = performance.now() - startedAt
    const events = await listed(new StoreAudit(store, clock.runtime), 1_000)
    expect(events).toHaveLength(2_000)
    expect(new Set(events.map(({ id }) => id)).size).toBe(2_000)
    for (let appender = 0; appender < 4; appender += 1) {
      const own = events.flatMap(({ reason }) =>
        reason?.startsWith(`${appender} `) ? [reason.slice(2)] : [],
      )
      expect(own, `appender ${appender}, newest first`).toEqual(downFrom(500))
    }
    console.log(`4 appenders, 2,000 events in ${Math.round(elapsedMs)} ms, none lost or doubled`)
  })

  test.each([1, 7, 49, 50, 51, 1_000])('pages of %i give every event once, newest first', async (limit) => {
    const { audit, event, reasons } = bench()
    await fill(audit, event, 0, 130)
    expect(await reasons(limit)).toEqual(downFrom(130))
  })

  test('a cursor stays right while others append', async () => {
    const { audit, event } = bench()
    await fill(audit, event, 0, 120)
    const seen: (string | null)[] = []
    let cursor: string | null = null
    let next = 120
    do {
      const page = await audit.list({ cursor, limit: 9 })
      seen.push(...page.items.map(({ reason }) => reason))
      cursor = page.next
      await fill(audit, event, next, next + 13)
      next += 13
    } while (cursor !== null)
    expect(seen).toEqual(downFrom(120))
  })

  test.each(['', '1', '0.1', '1.0', '1.2.3', 'x', '9999999999999999.1'])(
    'the cursor "%s" is refused',
    async (cursor) => {
      await expect(bench().audit.list({ cursor, limit: 1 })).rejects.toThrow(
        'cursor is what an earlier page answered',
      )
    },
  )

  test('a cursor to pages that were swept since ends the listing', async () => {
    const { audit, event } = bench({ maxEvents: 1_000 })
    await fill(audit, event, 0, 60)
    const { next } = await audit.list({ cursor: null, limit: 15 })
    expect(next).toBe('1.45')
    await fill(audit, event, 60, 1_100)
    expect(await audit.list({ cursor: next, limit: 5 })).toEqual({ items: [], next: null, unreadable: [] })
  })

  test('at most as many events as asked for are kept: the oldest pages go when a page is begun', async () => {
    const { audit, event, reasons, keys } = bench({ maxEvents: 1_049 })
    let most = 0
    for (let number = 0; number < 1_351; number += 1) {
      await audit.append(event(String(number)))
      if (number % 50 !== 0) continue
      const kept = (await reasons(1_000)).length
      most = Math.max(most, kept)
    }
    expect(most).toBeLessThanOrEqual(1_049)
    expect(await reasons()).toEqual(downFrom(1_351, 400))
    expect(await keys()).toHaveLength(20)
    expect(await keys()).not.toContain('audit/8')
  })

  test('10,000 events are kept unless told otherwise', async () => {
    const domain = bench()
    await seedPages(domain, 200)
    expect(await domain.reasons(1_000)).toHaveLength(10_000)
    await domain.audit.append(domain.event('new'))
    expect(await domain.reasons(1_000)).toEqual(['new', ...downFrom(10_000, 50)])
  })

  test.each(['a clock of its own', 'no clock'])(
    'events of more than 400 days go, in a store with %s',
    async (kind) => {
      const { clock, store, event } = bench()
      const timeless = interceptStore(store, async ({ method, proceed }) => {
        const answer = (await proceed()) as object | null
        return method === 'readDocument' && answer !== null ? { ...answer, ageMs: null } : answer
      })
      const audit = new StoreAudit(kind === 'no clock' ? timeless : store, clock.runtime)
      await fill(audit, event, 0, 100)
      await clock.advance(200 * DAY_MS)
      await fill(audit, event, 100, 150)
      await clock.advance(201 * DAY_MS)
      await fill(audit, event, 150, 151)
      expect((await listed(audit, 1_000)).map(({ reason }) => reason)).toEqual(downFrom(151, 100))
      expect((await store.listDocuments({ prefix: 'audit/', cursor: null, limit: 10 })).items).toHaveLength(2)
    },
  )

  test('a retention lowered by much is reached in steps, so that no single event pays for all', async () => {
    const domain = bench()
    const { event, store, clock, keys } = domain
    await seedPages(domain, 50)
    const calls: string[] = []
    const counted = interceptStore(store, ({ method, proceed }) => {
      calls.push(method)
      return proceed()
    })
    const stricter = new StoreAudit(counted, clock.runtime, { maxEvents: 1_000 })
    await fill(stricter, event, 2_500, 2_501)
    expect(await keys()).toHaveLength(31)
    expect(calls.length).toBeLessThan(60)
    await fill(stricter, event, 2_501, 2_551)
    expect(await keys()).toHaveLength(20)
  })

  test.each([{ maxEvents: 999 }, { maxEvents: 1_000_001 }, { maxEvents: 1_000.5 }, { maxAgeMs: 59_999 }])(
    'a retention of %o is refused',
    (retention) => {
      expect(() => bench(retention)).toThrow(TypeError)
    },
  )

  test('the largest events fill a page to 48 KiB at most, and one beyond 16 KiB is refused', async () => {
    const { audit, store, clock, keys } = bench()
    const largest = 16_384 - JSON.stringify(eventOf(clock, '')).length
    for (let number = 0; number < 7; number += 1) await audit.append(eventOf(clock, 'x'.repeat(largest)))
    const sizes = await Promise.all(
      (await keys()).map(async (key) => (await store.readDocument(key))?.value.length ?? 0),
    )
    expect(Math.max(...sizes)).toBeLessThanOrEqual(49_152)
    expect(await listed(audit, 100)).toHaveLength(7)
    await expect(audit.append(eventOf(clock, 'x'.repeat(largest + 1)))).rejects.toThrow('at most 16384 bytes')
    expect(await listed(audit, 100)).toHaveLength(7)
  })
})

describe('faults of the store', () => {
  test('the same event is kept once, however often it is given', async () => {
    const { audit, event, reasons } = bench()
    const once = event('once')
    await Promise.all([audit.append(once), audit.append(once), audit.append({ ...once })])
    await audit.append(once)
    expect(await reasons()).toEqual(['once'])
  })

  test('no lost answer writes an event twice, wherever in 120 appends it is lost', async () => {
    const { store, clock, reasons, event } = bench()
    let writes = 0
    const cut = interceptStore(store, async ({ method, proceed }) => {
      const answer = await proceed()
      if (method !== 'writeDocument') return answer
      writes += 1
      // Every answer of a page and of the pointer is lost now and then, also twice in a row.
      if (writes % 3 !== 0) throw outcomeUnknown()
      return answer
    })
    await fill(new StoreAudit(cut, clock.runtime), event, 0, 120)
    expect(writes).toBeGreaterThan(120)
    expect(await reasons()).toEqual(downFrom(120))
  })

  test('a write that was cut and never arrived is made again', async () => {
    const { store, clock, reasons, event } = bench()
    let cuts = 2
    const cut = interceptStore(store, ({ method, proceed }) => {
      if (method !== 'writeDocument' || cuts === 0) return proceed()
      cuts -= 1
      return Promise.reject(outcomeUnknown())
    })
    await new StoreAudit(cut, clock.runtime).append(event('once'))
    expect(await reasons()).toEqual(['once'])
  })

  test.each(['arrived', 'never arrived'])(
    'an event given up with an unknown outcome, whose write %s, and given again pages later is kept once',
    async (how) => {
      const { store, audit, clock, reasons, event } = bench()
      await fill(audit, event, 0, 30)
      let outage: 'none' | 'answers' | 'all' = 'answers'
      const cut = interceptStore(store, async ({ method, proceed }) => {
        if (outage === 'all') throw unavailable()
        if (outage === 'none' || method !== 'writeDocument') return await proceed()
        outage = 'all'
        if (how === 'arrived') await proceed()
        throw outcomeUnknown()
      })
      const sink = new StoreAudit(cut, clock.runtime)
      const doubtful = event('doubtful')
      await expect(sink.append(doubtful)).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
      outage = 'none'
      await fill(audit, event, 30, 150)
      await sink.append(doubtful)
      const all = await reasons()
      expect(all.filter((reason) => reason !== 'doubtful')).toEqual(downFrom(150))
      expect(all.indexOf('doubtful')).toBe(how === 'arrived' ? 120 : 0)
      expect(all).toHaveLength(151)
    },
  )

  test('a store that never answers a write is given up after three tries', async () => {
    const { store, clock, event } = bench()
    let writes = 0
    const silent = interceptStore(store, ({ method, proceed }) => {
      if (method !== 'writeDocument') return proceed()
      writes += 1
      return Promise.reject(outcomeUnknown())
    })
    const append = new StoreAudit(silent, clock.runtime).append(event('x'))
    await expect(append).rejects.toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN' })
    expect(writes).toBe(3)
  })

  test('an outage is the answer of the append, and of the listing', async () => {
    const { clock, event, store } = bench()
    const down = new StoreAudit(
      interceptStore(store, () => Promise.reject(unavailable())),
      clock.runtime,
    )
    await expect(down.append(event('x'))).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    await expect(down.list({ cursor: null, limit: 1 })).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
    })
  })

  test.each(['CANARY{', '{}', 'null', '[null]', '[{"id":7}]', '[{"id":"x"}]', ''])(
    'a page that holds %j is passed over with its key, and the next event begins another',
    async (value) => {
      const { audit, event, store, reasons } = bench()
      await fill(audit, event, 0, 75)
      await rewrite(store, 'audit/2', value)
      const before = await audit.list({ cursor: null, limit: 100 })
      expect(before.unreadable).toEqual(['audit/2'])
      expect(before.items.map(({ reason }) => reason)).toEqual(downFrom(50))
      await fill(audit, event, 75, 80)
      expect(await reasons()).toEqual([...downFrom(80, 75), ...downFrom(50)])
      expect((await store.readDocument('audit/2'))?.value).toBe(value)
    },
  )

  test.each([
    'CANARY{',
    '{}',
    '{"newest":2,"oldest":3}',
    '{"newest":1e9}',
    '{"newest":2,"oldest":0}',
    'null',
  ])('a pointer that holds %j is found out anew from the pages', async (value) => {
    const { audit, event, store, reasons } = bench({ maxEvents: 1_000 })
    await fill(audit, event, 0, 1_120)
    await rewrite(store, 'audit', value)
    expect(await reasons()).toEqual(downFrom(1_120, 150))
    await store.writeDocument('audit/notes', 0, 'of somebody else')
    await fill(audit, event, 1_120, 1_121)
    expect(await reasons()).toEqual(downFrom(1_121, 150))
    expect((await store.readDocument('audit'))?.value).toBe('{"newest":23,"oldest":4}')
  })

  test('killed before or after any call of beginning a page, the event is kept once or not at all and the next one goes on', async () => {
    let kills = 0
    for (const when of ['before', 'after'] as const) {
      for (let call = 1; ; call += 1) {
        const domain = bench({ maxEvents: 1_000 })
        const { audit, event, store, clock, reasons } = domain
        await seedPages(domain, 20)
        const process = mortal(store)
        process.dieAt(call, when)
        const doomed = new StoreAudit(process.store, clock.runtime, { maxEvents: 1_000 })
        const ended = await Promise.race([
          doomed.append(event('killed')).then(() => true),
          clock.settle().then(() => false),
        ])
        expect(ended).toBe(!process.isDead())
        if (ended) break
        kills += 1
        const killed = (await reasons(1_000)).filter((reason) => reason === 'killed')
        expect(killed.length, `call ${call}, ${when}`).toBeLessThanOrEqual(1)
        await fill(audit, event, 1_000, 1_060)
        const expected = [...downFrom(1_060, 1_000), ...killed, '999']
        expect((await reasons()).slice(0, expected.length), `call ${call}, ${when}`).toEqual(expected)
        const pointer = JSON.parse((await store.readDocument('audit'))?.value ?? '')
        expect(pointer).toEqual({ newest: 22, oldest: 3 })
      }
    }
    expect(kills).toBeGreaterThanOrEqual(16)
    console.log(`${kills} kills while a page was begun, none lost what was acknowledged`)
  })

  test('a page that is gone is passed over by listing and by sweeping', async () => {
    const domain = bench({ maxEvents: 1_000 })
    const { audit, event, store, reasons, keys } = domain
    await seedPages(domain, 21)
    for (const page of [1, 10]) await store.writeDocument(`audit/${page}`, 1, null)
    expect(await reasons()).toEqual([...downFrom(1_050, 500), ...downFrom(450, 50)])
    await audit.append(event('1050'))
    expect(await reasons()).toEqual([...downFrom(1_051, 500), ...downFrom(450, 100)])
    expect(await keys()).toHaveLength(19)
  })

  test('a store that does not let documents be deleted keeps more, and nothing else suffers', async () => {
    const domain = bench()
    const { event, store, clock, keys, reasons } = domain
    await seedPages(domain, 22)
    const keeping = interceptStore(store, ({ method, args, proceed }) =>
      method === 'writeDocument' && args[2] === null ? Promise.reject(unavailable()) : proceed(),
    )
    const audit = new StoreAudit(keeping, clock.runtime, { maxEvents: 1_000 })
    await fill(audit, event, 1_100, 1_130)
    expect(await keys()).toHaveLength(23)
    expect((await reasons())[0]).toBe('1129')
    expect((await store.readDocument('audit'))?.value).toBe('{"newest":23,"oldest":1}')
  })
})
