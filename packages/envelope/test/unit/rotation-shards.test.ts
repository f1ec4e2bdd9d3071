import type { RotationOperation, RotationRunner, SecretVault, ShardJob, ShardWork } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { BOTH_WISH_V2, finished, mortal, ONLY_V1, type TestDomain, testDomain } from '../support/vaults.ts'

const open: SecretVault[] = []
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})
const kept = (vault: SecretVault): SecretVault => {
  open.push(vault)
  return vault
}

/** A domain whose store divides so many secrets, named by number, into shards of `perShard`. */
async function seeded(count: number, perShard: number): Promise<TestDomain> {
  const domain = testDomain({ recordsPerShard: perShard })
  const vault = await domain.open(ONLY_V1)
  for (let index = 0; index < count; index += 1) await vault.put(`s${1_000 + index}`, `value ${index}`)
  await vault.close()
  domain.events.length = 0
  return domain
}

function expectHonest({ totals }: RotationOperation): void {
  const { scanned, ...parts } = totals
  expect(scanned).toBe(Object.values(parts).reduce((sum, part) => sum + part, 0))
}

async function expectAllUnderV2(domain: TestDomain, vault: SecretVault, count: number): Promise<void> {
  expect(await domain.store.census()).toEqual(new Map([['v2', count]]))
  for (let index = 0; index < count; index += 1) {
    expect((await vault.get(`s${1_000 + index}`))?.text()).toBe(`value ${index}`)
  }
}

describe('shards', () => {
  test('are worked on by several processes at once, each record by one of them', async () => {
    const domain = await seeded(400, 50)
    const written = new Map<string, number>()
    const store = interceptStore(domain.store, async ({ method, args, proceed }) => {
      if (method === 'write') {
        for (const change of args[1] as readonly { secret: { name: string } }[]) {
          written.set(change.secret.name, (written.get(change.secret.name) ?? 0) + 1)
        }
        await new Promise<void>((resolve) => domain.clock.runtime.timer(resolve, 3_000))
      }
      return await proceed()
    })
    const vaults = await Promise.all([0, 1, 2].map(() => domain.open(BOTH_WISH_V2, { store })))
    vaults.forEach(kept)
    const [first] = vaults as [SecretVault]
    const { id } = await first.rotate()
    const working = new Set<string>()
    for (let step = 0; step < 400; step += 1) {
      const operation = await first.rotations.get(id)
      for (const worker of operation?.workers ?? []) working.add(worker)
      if (operation?.status !== 'running') break
      await domain.clock.advance(500)
    }
    const operation = await finished(domain, first, id)
    expect(operation).toMatchObject({ status: 'completed', totals: { scanned: 400, rewrapped: 400 } })
    expectHonest(operation)
    await expectAllUnderV2(domain, first, 400)
    expect(working).toEqual(new Set(vaults.map(({ instanceId }) => instanceId)))
    expect([...written.values()].every((times) => times === 1)).toBe(true)
    expect(written.size).toBe(400)
  })

  test('of a rate are one, so that the rate holds for all instances together', async () => {
    const domain = await seeded(200, 10)
    const vaults = await Promise.all([0, 1, 2].map(() => domain.open(BOTH_WISH_V2)))
    vaults.forEach(kept)
    const [first] = vaults as [SecretVault]
    const { id } = await first.rotate({ ratePerSecond: 10 })
    await domain.clock.settle()
    // Nor does it look as if it did not hold in the beginning.
    expect((await first.rotations.get(id))?.perSecond).toBeLessThanOrEqual(12)
    await domain.clock.advance(10_000)
    const operation = await first.rotations.get(id)
    expect(operation?.shards).toEqual({ total: 1, done: 0, working: 1 })
    expect(operation?.totals.rewrapped).toBeGreaterThan(80)
    expect(operation?.totals.rewrapped).toBeLessThanOrEqual(105)
    expect(operation?.expected).toBe(200)
    expect(operation?.perSecond).toBeGreaterThan(8)
    expect(operation?.perSecond).toBeLessThan(12)
    expect(operation?.remainingMs).toBeGreaterThan(7_000)
    expect(operation?.remainingMs).toBeLessThan(13_000)
  })

  test.each([
    ['by the clock of the store', false],
    ['by watching its saves, where the store has no clock', true],
  ])('of a killed process are taken over within its lease and 5 s: %s', async (_, clockless) => {
    const domain = await seeded(100, 25)
    const withoutClock = interceptStore(domain.store, async ({ method, proceed }) => {
      const answer = (await proceed()) as unknown
      if (!clockless || (method !== 'readDocument' && method !== 'listDocuments')) return answer
      const hide = (document: object): object => ({ ...document, ageMs: null })
      if (method === 'readDocument') return answer === null ? null : hide(answer as object)
      const page = answer as { items: readonly object[]; next: string | null }
      return { ...page, items: page.items.map(hide) }
    })
    // Dies while it writes the first batch of some shard.
    const process = mortal(
      interceptStore(withoutClock, async ({ method, proceed }) => {
        if (method === 'write') process.kill()
        return await proceed()
      }),
    )
    const doomed = await domain.open(BOTH_WISH_V2, { store: process.store })
    const heir = kept(await domain.open(BOTH_WISH_V2, { store: withoutClock }))
    const { id } = await doomed.rotate()
    for (let step = 0; step < 100 && !process.isDead(); step += 1) await domain.clock.advance(10)
    expect(process.isDead()).toBe(true)
    expect((await heir.rotations.get(id))?.workers).toContain(doomed.instanceId)
    let waitedMs = 0
    while ((await heir.rotations.get(id))?.status === 'running' && waitedMs <= 25_000) {
      await domain.clock.advance(100)
      waitedMs += 100
    }
    expect(waitedMs).toBeLessThanOrEqual(20_000)
    const operation = await finished(domain, heir, id)
    expect(operation.status).toBe('completed')
    expectHonest(operation)
    await expectAllUnderV2(domain, heir, 100)
  })

  test('W1, W4, W7: killed before and after every store call, with shards, the next process finishes', async () => {
    const count = 24
    const clean = await seeded(count, 5)
    const counting = mortal(clean.store)
    const undisturbed = kept(await clean.open(BOTH_WISH_V2, { store: counting.store }))
    counting.dieAt(Number.POSITIVE_INFINITY, 'before')
    const { id } = await undisturbed.rotate({ concurrency: 2 })
    await finished(clean, undisturbed, id)
    const calls = counting.calls()
    let kills = 0
    for (let call = 1; call <= calls; call += 1) {
      for (const when of ['before', 'after'] as const) {
        const domain = await seeded(count, 5)
        const process = mortal(domain.store)
        const doomed = await domain.open(BOTH_WISH_V2, { store: process.store })
        process.dieAt(call, when)
        void doomed.rotate({ concurrency: 2 })
        for (let step = 0; step < 40 && !process.isDead(); step += 1) await domain.clock.advance(500)
        if (!process.isDead()) continue
        kills += 1
        const next = await domain.open(BOTH_WISH_V2)
        const operation = await finished(domain, next, (await next.rotate()).id)
        expect(operation.status, `killed ${when} call ${call}`).toBe('completed')
        expectHonest(operation)
        await expectAllUnderV2(domain, next, count)
        await next.close()
      }
    }
    console.log(`shards: killed ${kills} times, before and after ${calls} store calls: 0 lost, 0 stuck`)
    expect(kills).toBeGreaterThan(150)
  }, 60_000)

  test('leave nothing behind in the store once the operation has ended', async () => {
    const domain = await seeded(100, 20)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate()
    expect((await finished(domain, vault, id)).status).toBe('completed')
    await domain.clock.settle()
    const left = await domain.store.listDocuments({ prefix: 'rotation-shard/', cursor: null, limit: 100 })
    expect(left.items).toEqual([])
  })
})

/** A job engine as far as the port goes: it holds jobs until they are taken from it. */
class HeldRunner implements RotationRunner {
  readonly jobs = new Map<string, ShardJob>()
  work: ShardWork | null = null

  async start(work: ShardWork): Promise<void> {
    this.work = work
  }

  async enqueue(jobs: readonly ShardJob[]): Promise<void> {
    for (const job of jobs) this.jobs.set(`${job.pass}/${job.shard}`, job)
  }

  async stop(): Promise<void> {
    this.work = null
  }

  take(): ShardJob | undefined {
    const [entry] = this.jobs
    if (entry === undefined) return undefined
    this.jobs.delete(entry[0])
    return entry[1]
  }
}

describe('a runner', () => {
  test('is handed each shard of each pass, and every outcome says what to do with the job', async () => {
    const domain = await seeded(100, 25)
    const runner = new HeldRunner()
    const vault = kept(await domain.open(BOTH_WISH_V2, { runner }))
    const { id } = await vault.rotate()
    await domain.clock.settle()
    expect([...runner.jobs.values()].map(({ shard }) => shard).sort()).toEqual([0, 1, 2, 3])
    const first = runner.take() as ShardJob
    expect(first).toMatchObject({ operationId: id, pass: 1 })
    expect(await runner.work?.(first)).toEqual({ outcome: 'done' })
    // Handed out once more, as job engines do: there is nothing left to do.
    const { totals } = (await vault.rotations.get(id)) as RotationOperation
    expect(await runner.work?.(first)).toEqual({ outcome: 'done' })
    expect((await vault.rotations.get(id))?.totals).toEqual(totals)
    for (let step = 0; step < 20; step += 1) {
      const job = runner.take()
      if (job !== undefined) expect(await runner.work?.(job)).toEqual({ outcome: 'done' })
      await domain.clock.settle()
    }
    expect(await vault.rotations.get(id)).toMatchObject({
      status: 'completed',
      pass: 2,
      totals: { rewrapped: 100 },
    })
    await expectAllUnderV2(domain, vault, 100)
  })

  test('is told that a shard is busy while another instance holds it, and for how long', async () => {
    const domain = await seeded(100, 25)
    const held = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const slow = interceptStore(domain.store, async ({ method, proceed }) => {
      if (method === 'write') {
        reached.resolve()
        await held.promise
      }
      return await proceed()
    })
    const [here, there] = [new HeldRunner(), new HeldRunner()]
    const holder = kept(await domain.open(BOTH_WISH_V2, { runner: here, store: slow }))
    kept(await domain.open(BOTH_WISH_V2, { runner: there }))
    await holder.rotate()
    await domain.clock.settle()
    const job = here.take() as ShardJob
    const working = here.work?.(job)
    await reached.promise
    const answer = await there.work?.(job)
    expect(answer).toMatchObject({ outcome: 'busy' })
    const retryAfterMs = answer?.outcome === 'busy' ? answer.retryAfterMs : 0
    expect(retryAfterMs).toBeGreaterThan(14_000)
    expect(retryAfterMs).toBeLessThanOrEqual(15_001)
    held.resolve()
    expect(await working).toEqual({ outcome: 'done' })
  })

  test('gets a shard back that its signal gives up, and goes on where it was', async () => {
    const domain = await seeded(300, 1_000)
    const runner = new HeldRunner()
    const vault = kept(await domain.open(BOTH_WISH_V2, { runner }))
    const { id } = await vault.rotate({ ratePerSecond: 40 })
    await domain.clock.settle()
    const job = runner.take() as ShardJob
    const ending = new AbortController()
    const working = runner.work?.(job, { signal: ending.signal })
    await domain.clock.advance(2_000)
    ending.abort()
    await domain.clock.advance(1_000)
    expect(await working).toEqual({ outcome: 'stopped' })
    const before = (await vault.rotations.get(id))?.totals.rewrapped ?? 0
    expect(before).toBeGreaterThan(50)
    const again = runner.work?.(job)
    await domain.clock.advance(1_000)
    expect((await vault.rotations.get(id))?.totals.rewrapped).toBeGreaterThan(before)
    await vault.rotations.cancel(id)
    await domain.clock.advance(2_000)
    expect(await again).toEqual({ outcome: 'done' })
  })
})
