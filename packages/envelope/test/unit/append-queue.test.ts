import { type AuditEvent, MemoryStore, type SecretStore, StoreAudit } from '@talos/envelope'
import { heldClock, type InterceptedCall, interceptStore } from '@talos/envelope/testing'
import { expect, test } from 'vitest'
import { uuidV7 } from '../../src/runtime.ts'
import { outcomeUnknown, unavailable } from '../support/vaults.ts'

const { runtime } = heldClock()

function event(reason: string): AuditEvent {
  const at = new Date(runtime.now()).toISOString()
  const who = { namespace: 'gateway', instanceId: 'i', process: 'test/1', kekId: null, actor: null }
  return {
    id: uuidV7(runtime),
    at,
    action: 'put_secret',
    phase: 'done',
    ...who,
    epoch: null,
    reason,
    details: {},
  }
}

const numbers = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, number) => String(number))

/** A trail on a store with something between them. */
function bench(intercept: (call: InterceptedCall) => Promise<unknown> = ({ proceed }) => proceed()) {
  const store = new MemoryStore()
  let pagesWritten = 0
  const between: SecretStore = interceptStore(store, async (call) => {
    if (isPageWrite(call)) pagesWritten += 1
    return await intercept(call)
  })
  return {
    audit: new StoreAudit(between, runtime),
    pagesWritten: () => pagesWritten,
    /** Oldest first, as the store has them. */
    reasons: async () => {
      const { items } = await new StoreAudit(store, runtime).list({ cursor: null, limit: 1_000 })
      return items.map(({ reason }) => reason).toReversed()
    },
  }
}

const isPageWrite = ({ method, args }: InterceptedCall) =>
  method === 'writeDocument' && String(args[0]).startsWith('audit/')

/** `kept`, or the code of the error, of each. */
function ends(appends: readonly Promise<void>[]): Promise<readonly string[]> {
  return Promise.all(
    appends.map((append) =>
      append.then(
        () => 'kept',
        (error: { code: string }) => error.code,
      ),
    ),
  )
}

test('events that come at once are written together, in the order in which they came', async () => {
  const { audit, reasons, pagesWritten } = bench()
  await Promise.all(numbers(200).map((reason) => audit.append(event(reason))))
  expect(await reasons()).toEqual(numbers(200))
  // The first one goes at once, alone; then whole pages do.
  expect(pagesWritten()).toBe(1 + 4)
})

test('a call that was given up before its turn takes no other with it', async () => {
  const gate = Promise.withResolvers<void>()
  const { audit, reasons } = bench(async ({ args, proceed }) => {
    await gate.promise
    if (args.some((arg) => (arg as { signal?: AbortSignal } | null)?.signal?.aborted === true))
      throw unavailable()
    return await proceed()
  })
  const appends = ['first', 'second', 'given up', 'third'].map((reason) =>
    audit.append(event(reason), reason === 'given up' ? { signal: AbortSignal.abort() } : {}),
  )
  gate.resolve()
  expect(await ends(appends)).toEqual(['kept', 'kept', 'ERR_STORE_UNAVAILABLE', 'kept'])
  expect(await reasons()).toEqual(['first', 'second', 'third'])
})

test('a call with little time does not shorten that of those it goes with', async () => {
  const limits: unknown[] = []
  const { audit } = bench(async (call) => {
    if (isPageWrite(call)) limits.push((call.args[3] as { timeoutMs?: number }).timeoutMs)
    return await call.proceed()
  })
  await Promise.all([50, 200, 9_000].map((timeoutMs) => audit.append(event('x'), { timeoutMs })))
  await Promise.all([{}, { timeoutMs: 50 }, {}].map((options) => audit.append(event('x'), options)))
  expect(limits).toEqual([50, 9_000, undefined, undefined])
})

test('a write that fails is told to those whose events it held, and to no other', async () => {
  let writes = 0
  const { audit, reasons } = bench(async (call) => {
    if (isPageWrite(call)) writes += 1
    if (isPageWrite(call) && writes === 2) throw unavailable()
    return await call.proceed()
  })
  const first = ends(numbers(4).map((reason) => audit.append(event(reason))))
  expect(await first).toEqual(['kept', ...Array(3).fill('ERR_STORE_UNAVAILABLE')])
  await audit.append(event('later'))
  expect(await reasons()).toEqual(['0', 'later'])
})

test('of events that go to two pages those of the first are kept when the second cannot be written', async () => {
  let isDown = false
  const { audit, reasons } = bench(async (call) => {
    if (isDown && call.args[0] === 'audit/2' && isPageWrite(call)) throw unavailable()
    return await call.proceed()
  })
  await Promise.all(numbers(45).map((reason) => audit.append(event(reason))))
  isDown = true
  const more = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
  expect(await ends(more.map((reason) => audit.append(event(reason))))).toEqual([
    ...Array(5).fill('kept'),
    ...Array(2).fill('ERR_STORE_UNAVAILABLE'),
  ])
  expect(await reasons()).toEqual([...numbers(45), 'a', 'b', 'c', 'd', 'e'])
})

test.each(['arrived', 'never arrived'])(
  'events whose write %s and was not answered are kept once, now or when they are given again',
  async (how) => {
    let cuts = 0
    const { audit, reasons } = bench(async (call) => {
      if (!isPageWrite(call) || cuts === 0) return await call.proceed()
      cuts -= 1
      if (how === 'arrived') await call.proceed()
      throw outcomeUnknown()
    })
    await audit.append(event('first'))
    cuts = 1
    expect(await ends(['a', 'b'].map((reason) => audit.append(event(reason))))).toEqual(['kept', 'kept'])
    cuts = 100
    const events = ['c', 'd', 'e'].map(event)
    const lost = await ends(events.map((each) => audit.append(each)))
    cuts = 0
    expect(await ends(events.map((each) => audit.append(each)))).toEqual(['kept', 'kept', 'kept'])
    expect(lost).toEqual(
      how === 'arrived' ? ['kept', 'kept', 'kept'] : Array(3).fill('ERR_STORE_OUTCOME_UNKNOWN'),
    )
    expect(await reasons()).toEqual(['first', 'a', 'b', 'c', 'd', 'e'])
  },
)

test('an event that may be on an earlier page is looked for there, also when it comes again among others', async () => {
  let state: 'up' | 'answers lost' | 'down' = 'up'
  const { audit, reasons } = bench(async (call) => {
    if (state === 'down') throw unavailable()
    const answer = await call.proceed()
    if (state === 'up' || !isPageWrite(call)) return answer
    state = 'down'
    throw outcomeUnknown()
  })
  const doubtful = event('doubtful')
  state = 'answers lost'
  expect(await ends([audit.append(doubtful)])).toEqual(['ERR_STORE_UNAVAILABLE'])
  state = 'up'
  await Promise.all(numbers(60).map((reason) => audit.append(event(reason))))
  await Promise.all([event('a'), event('b'), doubtful, event('c')].map((each) => audit.append(each)))
  expect(await reasons()).toEqual(['doubtful', ...numbers(60), 'a', 'b', 'c'])
})

test('one event that comes several times at once is kept once', async () => {
  const { audit, reasons } = bench()
  const twice = event('twice')
  await Promise.all(
    [event('first'), twice, event('between'), twice, { ...twice }].map((each) => audit.append(each)),
  )
  expect(await reasons()).toEqual(['first', 'twice', 'between'])
})

test('an event that is given again while it is under way, behind a page of others, is kept once', async () => {
  const gate = Promise.withResolvers<void>()
  const { audit, reasons } = bench(async ({ proceed }) => {
    await gate.promise
    return await proceed()
  })
  const slow = event('slow')
  const others = numbers(120).map((reason) => audit.append(event(reason)))
  const appends = [
    audit.append(slow),
    ...numbers(120).map((n) => audit.append(event(`more ${n}`))),
    audit.append(slow),
  ]
  gate.resolve()
  await Promise.all([...others, ...appends])
  expect((await reasons()).filter((reason) => reason === 'slow')).toEqual(['slow'])
  expect(await reasons()).toHaveLength(241)
})

test('an event that is given again while a call for it fails is written then', async () => {
  let isDown = true
  const { audit, reasons } = bench(async (call) => {
    if (!isPageWrite(call) || !isDown) return await call.proceed()
    isDown = false
    throw unavailable()
  })
  const again = event('again')
  expect(await ends([again, again, again].map((each) => audit.append(each)))).toEqual([
    'ERR_STORE_UNAVAILABLE',
    'kept',
    'kept',
  ])
  expect(await reasons()).toEqual(['again'])
})
