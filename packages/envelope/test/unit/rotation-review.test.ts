import {
  createCodec,
  type RotatableSource,
  type RotationOperation,
  type RotationRunner,
  type SecretStore,
  type SecretVault,
  type ShardJob,
  type ShardWork,
  type StoredDocument,
  type VaultEvent,
} from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { afterEach, describe, expect, test } from 'vitest'
import {
  BOTH_WISH_V2,
  finished,
  kekBytes,
  keys,
  mortal,
  ONLY_V1,
  type TestDomain,
  testDomain,
  unavailable,
  V1,
  V2,
} from '../support/vaults.ts'

const open: SecretVault[] = []
afterEach(async () => {
  for (const vault of open.splice(0)) await vault.close()
})
const kept = (vault: SecretVault): SecretVault => {
  open.push(vault)
  return vault
}

async function seeded(count: number, perShard = 100_000): Promise<TestDomain> {
  const domain = testDomain({ recordsPerShard: perShard })
  const vault = await domain.open(ONLY_V1)
  for (let index = 0; index < count; index += 1) await vault.put(`s${1_000 + index}`, `value ${index}`)
  await vault.close()
  domain.events.length = 0
  return domain
}

/** Alters the wrap texts of all secrets, so that none can be re-wrapped. */
async function damage(domain: TestDomain): Promise<void> {
  const { revision = 0 } = (await domain.store.readDocument('keyring')) ?? {}
  const { items } = await domain.store.scan({ cursor: null, limit: 1_000 })
  for (const { name, wrap, meta } of items) {
    const bad = `${wrap.slice(0, -3)}${wrap.endsWith('AAA') ? 'BBB' : 'AAA'}`
    const change = { kind: 'rewrap', expectedWrap: wrap, secret: { name, wrap: bad, meta } } as const
    expect(await domain.store.write(revision, [change])).toEqual(['done'])
  }
}

/** A job engine as far as the port goes. */
class HeldRunner implements RotationRunner {
  readonly jobs: ShardJob[] = []
  work: ShardWork | null = null

  async start(work: ShardWork): Promise<void> {
    this.work = work
  }

  async enqueue(jobs: readonly ShardJob[]): Promise<void> {
    this.jobs.push(...jobs)
  }

  async stop(): Promise<void> {
    this.work = null
  }
}

function delayed(domain: TestDomain, ms: number): Promise<void> {
  return new Promise((resolve) => {
    domain.clock.runtime.timer(resolve, ms)
  })
}

describe('an outage that ends in an unexpected error', () => {
  test('is told, harms no other work, and is tried again', async () => {
    const domain = await seeded(10)
    const away = { now: true }
    const store = interceptStore(domain.store, async ({ method, args, proceed }) => {
      if (away.now && method === 'scan') throw unavailable()
      if (
        away.now &&
        method === 'writeDocument' &&
        args[0] === 'rotation' &&
        String(args[2]).includes('"status":"paused"')
      )
        throw new Error('The test broke the driver.')
      return await proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await vault.rotate({ pauseAfterMs: 1_000 })
    await domain.clock.advance(10_000)
    expect(domain.events).toContainEqual(expect.objectContaining({ type: 'fault', code: 'unexpected' }))
    away.now = false
    expect((await finished(domain, vault, id)).status).toBe('completed')
  })
})

describe('a runner that hands jobs to an instance', () => {
  test('which has not yet seen the promotion: it looks again instead of ending the operation', async () => {
    const domain = await seeded(10)
    const former = await domain.open(ONLY_V1, { process: 'old/1' })
    const [here, there] = [new HeldRunner(), new HeldRunner()]
    const first = kept(await domain.open(BOTH_WISH_V2, { runner: here, process: 'new/1' }))
    await domain.clock.advance(2_000)
    kept(await domain.open(BOTH_WISH_V2, { runner: there, process: 'new/2' }))
    const { id } = await first.rotate()
    await former.close()
    for (let step = 0; step < 100 && here.jobs.length === 0; step += 1) await domain.clock.advance(100)
    const [job] = here.jobs as [ShardJob]
    await there.work?.(job)
    const operation = (await first.rotations.get(id)) as RotationOperation
    expect(operation).toMatchObject({ status: 'running', totals: { rewrapped: 10 }, lastError: null })
  })

  test('and does not stop: the vault closes all the same, and leaves the fleet', async () => {
    const domain = await seeded(1)
    const runner = new HeldRunner()
    runner.stop = async () => {
      throw new Error('The test broke the job engine.')
    }
    const vault = await domain.open(BOTH_WISH_V2, { runner })
    await vault.close()
    const { items } = await domain.store.listDocuments({ prefix: 'instance/', cursor: null, limit: 100 })
    expect(items.map(({ key }) => key)).toEqual([])
    expect(domain.events).toContainEqual(expect.objectContaining({ type: 'fault', during: 'rotation' }))
  })
})

describe('the lease of a shard', () => {
  test('is kept while many failures are noted in a slow store', async () => {
    const domain = await seeded(200)
    await damage(domain)
    const claims: string[] = []
    const store = interceptStore(domain.store, async ({ method, args, proceed }) => {
      const [key] = args as [unknown]
      if (method === 'writeDocument' && String(key).startsWith('rotation-failure/'))
        await delayed(domain, 200)
      if (method === 'writeDocument' && String(key).startsWith('rotation-shard/')) {
        const { worker } = JSON.parse(String(args[2] ?? '{}')) as { worker?: string | null }
        if (typeof worker === 'string' && claims.at(-1) !== worker) claims.push(worker)
      }
      return await proceed()
    })
    const vaults = [await domain.open(BOTH_WISH_V2, { store }), await domain.open(BOTH_WISH_V2, { store })]
    vaults.forEach(kept)
    const [vault] = vaults as [SecretVault]
    const { id } = await vault.rotate()
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'failed',
      totals: { scanned: 200, failed: 200 },
    })
    expect(claims).toHaveLength(1)
  })

  test('is kept while the store is asked for records of a KEK that is missing', async () => {
    const domain = await seeded(20)
    const first = await domain.open(BOTH_WISH_V2)
    await first.close()
    let slow = true
    // The scan over everything that follows the page of a worker: a large store takes long for it.
    const view = (): SecretStore => {
      let hasPage = false
      return interceptStore(domain.store, async ({ method, args, proceed }) => {
        const [query] = args as [{ limit?: number }]
        if (method === 'scan' && query.limit === 250) hasPage = true
        else if (method === 'scan' && hasPage && slow) {
          hasPage = false
          await delayed(domain, 40_000)
        }
        return await proceed()
      })
    }
    const source = keys('v2', { v2: V2 })
    const vaults = [
      await domain.open(source, { store: view() }),
      await domain.open(source, { store: view() }),
    ]
    vaults.forEach(kept)
    const [vault] = vaults as [SecretVault]
    const { id } = await vault.rotate()
    await domain.clock.advance(120_000)
    slow = false
    const ended = await vault.rotations.get(id)
    await domain.clock.advance(60_000)
    expect(ended).toMatchObject({ status: 'failed', lastError: { code: 'ERR_KEK_NOT_LOADED' } })
  })

  test('ends for a silent worker although the clock of the store was put back by an hour', async () => {
    const domain = await seeded(100, 25)
    let backMs = 0
    const store = interceptStore(domain.store, async ({ method, proceed }) => {
      const answer = (await proceed()) as unknown
      const earlier = (document: StoredDocument): StoredDocument => ({
        ...document,
        ageMs: document.key.startsWith('rotation-shard/') ? (document.ageMs ?? 0) - backMs : document.ageMs,
      })
      if (method === 'readDocument') return answer === null ? null : earlier(answer as StoredDocument)
      if (method !== 'listDocuments') return answer
      const page = answer as { items: readonly StoredDocument[] }
      return { ...page, items: page.items.map(earlier) }
    })
    const process = mortal(
      interceptStore(store, async ({ method, proceed }) => {
        if (method === 'write') process.kill()
        return await proceed()
      }),
    )
    const doomed = await domain.open(BOTH_WISH_V2, { store: process.store })
    const heir = kept(await domain.open(BOTH_WISH_V2, { store }))
    const { id } = await doomed.rotate()
    for (let step = 0; step < 100 && !process.isDead(); step += 1) await domain.clock.advance(10)
    expect(process.isDead()).toBe(true)
    expect((await heir.rotations.get(id))?.workers).toContain(doomed.instanceId)
    backMs = 3_600_000
    await domain.clock.advance(25_000)
    expect((await heir.rotations.get(id))?.status).toBe('completed')
  })
})

/** A source of one envelope under v1 that cannot be moved: what it answers is up to the test. */
function stubborn(wrap: string, outcome: 'changed' | 'missing'): RotatableSource & { scans: number } {
  return {
    name: 'notes',
    scans: 0,
    count: async () => 1,
    async scan() {
      this.scans += 1
      return { items: [{ id: '1', wrap, context: { note: '1' } }], next: null }
    },
    rewrap: async (changes) => changes.map(() => outcome),
  }
}

describe('a retry while a batch is still written', () => {
  test('counts no record twice, and ends as any other', async () => {
    const domain = await seeded(20, 10)
    const codec = await createCodec({ keys: ONLY_V1 })
    const envelope = await codec.wrap('note', { note: '1' })
    const source = stubborn(envelope.slice(0, envelope.lastIndexOf(':')), 'missing')
    source.rewrap = async () => []
    const held = Promise.withResolvers<void>()
    const store = interceptStore(domain.store, async ({ method, proceed }) => {
      if (method === 'write') await held.promise
      return await proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    vault.sources.add(source)
    const { id } = await vault.rotate({ concurrency: 8 })
    expect((await finished(domain, vault, id)).lastError?.code).toBe('ERR_SOURCE_CONTRACT')
    source.rewrap = async (changes) => changes.map(() => 'missing')
    source.scan = async () => ({ items: [], next: null })
    await vault.rotations.retryFailed(id)
    await domain.clock.settle()
    held.resolve()
    const { status, totals } = await finished(domain, vault, id)
    const { scanned, ...parts } = totals
    expect(status).toBe('completed')
    expect(scanned).toBe(Object.values(parts).reduce((sum, part) => sum + part, 0))
    expect(totals.rewrapped).toBeLessThanOrEqual(20)
    expect(await domain.store.census()).toEqual(new Map([['v2', 20]]))
  })
})

describe('passes', () => {
  test('end when a source shows envelopes that are under the target already', async () => {
    const domain = await seeded(5)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    await vault.put('other', 'x')
    const [record] = await domain.store.read(['other'])
    const source = stubborn(record?.wrap ?? '', 'changed')
    vault.sources.add(source)
    const { id } = await vault.rotate()
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'completed',
      totals: { rewrapped: 5, alreadyCurrent: 2, failed: 0 },
    })
  })

  test.each(['changed', 'missing'] as const)(
    'end the operation when they go on finding what no pass can move: %s',
    async (outcome) => {
      const domain = await seeded(5)
      const codec = await createCodec({ keys: ONLY_V1 })
      const envelope = await codec.wrap('note', { note: '1' })
      const source = stubborn(envelope.slice(0, envelope.lastIndexOf(':')), outcome)
      const vault = kept(await domain.open(BOTH_WISH_V2))
      vault.sources.add(source)
      const { id } = await vault.rotate()
      const operation = await finished(domain, vault, id)
      expect(operation).toMatchObject({ status: 'failed', totals: { rewrapped: 5 } })
      expect(operation.lastError?.message).toContain('passes')
      expect(source.scans).toBeLessThan(20)
      await vault.rotations.retryFailed(id)
      expect((await finished(domain, vault, id)).status).toBe('failed')
    },
  )
})

describe('former operations', () => {
  test('are kept as they ended, also one that was retried after another had tried to take its place', async () => {
    const domain = await seeded(10)
    await damage(domain)
    let atArchive: (() => Promise<void>) | null = null
    const store = interceptStore(domain.store, async ({ method, args, proceed }) => {
      const answer = await proceed()
      if (method === 'writeDocument' && String(args[0]).startsWith('rotation/')) {
        const act = atArchive
        atArchive = null
        await act?.()
      }
      return answer
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const other = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate()
    expect((await finished(domain, vault, id)).status).toBe('failed')
    atArchive = async () => {
      await other.rotations.retryFailed(id)
    }
    expect(await vault.rotate()).toMatchObject({ id, started: false })
    const { items } = await domain.store.scan({ cursor: null, limit: 1_000 })
    for (const { name } of items) await vault.delete(name)
    const ended = await finished(domain, vault, id)
    const next = await vault.rotate()
    expect(next.started).toBe(true)
    await finished(domain, vault, next.id)
    expect(await vault.rotations.get(id)).toEqual({ ...ended, shards: { total: 0, done: 0, working: 0 } })
  })

  test('leave no shards behind, even where the sweep of one was cut short, which fails no rotation', async () => {
    const domain = await seeded(50, 10)
    let cut = false
    const store = interceptStore(domain.store, async ({ method, args, proceed }) => {
      if (
        cut &&
        method === 'writeDocument' &&
        String(args[0]).startsWith('rotation-shard/') &&
        args[2] === null
      )
        throw unavailable()
      return await proceed()
    })
    const vault = kept(await domain.open(BOTH_WISH_V2, { store }))
    const first = await vault.rotate({ ratePerSecond: 5 })
    await domain.clock.advance(2_000)
    await vault.rotations.cancel(first.id)
    await domain.clock.advance(1_000)
    expect((await vault.rotations.get(first.id))?.totals.scanned).toBeGreaterThan(0)
    cut = true
    const second = await vault.rotate()
    expect(second.started).toBe(true)
    await finished(domain, vault, second.id)
    cut = false
    await domain.clock.advance(10_000)
    const third = await vault.rotate()
    await finished(domain, vault, third.id)
    await domain.clock.settle()
    const left = await domain.store.listDocuments({ prefix: 'rotation-shard/', cursor: null, limit: 100 })
    expect(left.items.map(({ key }) => key)).toEqual([])
  })
})

describe('a vault that closes', () => {
  test('waits for a batch that a source writes, also while the store is away', async () => {
    const domain = await seeded(0)
    const codec = await createCodec({ keys: ONLY_V1 })
    const envelope = await codec.wrap('note', { note: '1' })
    const source = stubborn(envelope.slice(0, envelope.lastIndexOf(':')), 'missing')
    const held = Promise.withResolvers<void>()
    let isAway = false
    let isWriting = false
    source.rewrap = async (changes) => {
      isAway = true
      isWriting = true
      await held.promise
      isWriting = false
      return changes.map(() => 'missing')
    }
    const store = interceptStore(domain.store, async ({ proceed }) => {
      if (isAway) throw unavailable()
      return await proceed()
    })
    const vault = await domain.open(BOTH_WISH_V2, { store })
    vault.sources.add(source)
    await vault.rotate()
    await domain.clock.advance(0)
    expect(isWriting).toBe(true)
    const closing = vault.close().then(() => isWriting)
    await domain.clock.advance(6_000)
    held.resolve()
    await domain.clock.advance(1_000)
    expect(await closing).toBe(false)
  })

  test('waits for the page that it reads ahead', async () => {
    const domain = await seeded(600)
    const held = Promise.withResolvers<void>()
    let isReading = false
    let closing: Promise<boolean> | null = null
    const store = interceptStore(domain.store, async ({ method, args, proceed }) => {
      const [query] = args as [{ cursor?: string | null }]
      if (method === 'scan' && typeof query.cursor === 'string') {
        isReading = true
        await held.promise
        isReading = false
      }
      if (method === 'write') closing ??= vault.close().then(() => isReading)
      return await proceed()
    })
    const vault = await domain.open(BOTH_WISH_V2, { store })
    await vault.rotate()
    for (let turn = 0; turn < 100 && closing === null; turn += 1) await domain.clock.settle()
    expect(isReading).toBe(true)
    await domain.clock.settle()
    held.resolve()
    expect(await closing).toBe(false)
  })
})

describe('an instance that no promotion waits for', () => {
  test.each(['observer', 'none'] as const)('takes part in a rotation all the same: %s', async (fleet) => {
    const domain = await seeded(30)
    await (await domain.open(BOTH_WISH_V2)).close()
    const vault = kept(await domain.open(BOTH_WISH_V2, { fleet }))
    const { id } = await vault.rotate()
    expect(await finished(domain, vault, id)).toMatchObject({
      status: 'completed',
      totals: { rewrapped: 30 },
    })
  })
})

describe('commands at the same moment', () => {
  test('begin one operation, whoever asks for it and whatever ends the one before', async () => {
    const domain = await seeded(60, 10)
    const vaults = await Promise.all([0, 1, 2].map(() => domain.open(BOTH_WISH_V2)))
    vaults.forEach(kept)
    const [first, second] = vaults as [SecretVault, SecretVault]
    for (let round = 0; round < 5; round += 1) {
      const before = await first.rotate({ ratePerSecond: 2 })
      await domain.clock.advance(1_500)
      const asked = [
        second.rotations.cancel(before.id),
        ...vaults.map((vault) => vault.rotate({ ratePerSecond: 2 })),
      ]
      await domain.clock.settle()
      await Promise.all(asked)
      const begun = (await first.rotations.list()).filter(({ status }) => status === 'running')
      expect(begun.length).toBeLessThanOrEqual(1)
      const started = await first.rotate({ ratePerSecond: 2 })
      await domain.clock.advance(1_000)
      await first.rotations.cancel(started.id)
      await domain.clock.advance(1_000)
    }
    const { id } = await first.rotate()
    expect((await finished(domain, first, id)).status).toBe('completed')
    const operations = await first.rotations.list({ limit: 100 })
    expect(operations.slice(1).every(({ status }) => status === 'cancelled')).toBe(true)
    expect(operations.reduce((sum, { totals }) => sum + totals.rewrapped, 0)).toBe(60)
  })
})

describe('instances that each lack a KEK which another one holds', () => {
  test('leave the work to each other visibly', async () => {
    const domain = testDomain()
    const former = await domain.open(keys('v0', { v0: kekBytes(9), v1: V1, v2: V2 }))
    await former.put('a', 'x')
    await former.close()
    const then = await domain.open(keys('v1', { v0: kekBytes(9), v1: V1, v2: V2 }))
    await then.put('b', 'x')
    await then.close()
    await (await domain.open(keys('v2', { v0: kekBytes(9), v1: V1, v2: V2 }))).close()
    const vault = kept(await domain.open(keys('v2', { v1: V1, v2: V2 })))
    kept(await domain.open(keys('v2', { v0: kekBytes(9), v2: V2 })))
    const { id } = await vault.rotate()
    await domain.clock.advance(40_000)
    expect(await vault.rotations.get(id)).toMatchObject({
      status: 'running',
      lastError: { code: 'ERR_KEK_NOT_LOADED', message: expect.stringMatching(/"v[01]"/) },
    })
    const whole = kept(await domain.open(keys('v2', { v0: kekBytes(9), v1: V1, v2: V2 })))
    await domain.clock.advance(30_000)
    expect(await finished(domain, whole, id)).toMatchObject({ status: 'completed', lastError: null })
  })
})

describe('what is told of an operation', () => {
  test('never forgets its progress in the moment of its end', async () => {
    const domain = await seeded(50, 10)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 10 })
    await domain.clock.advance(3_000)
    let held: (() => Promise<void>) | null = null
    const looking = interceptStore(domain.store, async ({ method, args, proceed }) => {
      const answer = await proceed()
      if (method === 'readDocument' && args[0] === 'rotation') {
        const act = held
        held = null
        await act?.()
      }
      return answer
    })
    const watcher = kept(await domain.open(BOTH_WISH_V2, { store: looking, runner: new HeldRunner() }))
    await domain.clock.settle()
    held = async () => {
      await finished(domain, vault, id)
      await domain.clock.settle()
    }
    const seen = (await watcher.rotations.get(id)) as RotationOperation
    expect(seen.totals.rewrapped).toBeGreaterThan(0)
  })

  test.each(['pause', 'cancel'] as const)('ends with what became of it after a %s', async (verb) => {
    const domain = await seeded(100)
    const heard: VaultEvent[] = []
    const onEvent = (event: VaultEvent): number => heard.push(event)
    const vault = kept(await domain.open(BOTH_WISH_V2, { onEvent }))
    const other = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 10 })
    await domain.clock.advance(2_000)
    const asked = await other.rotations[verb](id)
    await domain.clock.advance(3_000)
    const told = heard.filter((event) => event.type === 'rotation').at(-1)
    const { totals } = (await other.rotations.get(id)) as RotationOperation
    expect(told).toMatchObject({ status: asked.status, rewrapped: totals.rewrapped })
  })

  test('shows no parts of a cancelled one, which nobody works on', async () => {
    const domain = await seeded(50, 10)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id } = await vault.rotate({ ratePerSecond: 10 })
    await domain.clock.advance(1_000)
    await vault.rotations.cancel(id)
    await domain.clock.advance(1_000)
    const { shards, totals } = (await vault.rotations.get(id)) as RotationOperation
    expect(shards).toEqual({ total: 0, done: 0, working: 0 })
    expect(totals.rewrapped).toBeGreaterThan(0)
  })

  test('counts what a retry expects on top of what was done before it', async () => {
    const domain = await seeded(100)
    const vault = kept(await domain.open(BOTH_WISH_V2))
    await domain.clock.settle()
    const { id } = await rotatedButOne(domain, vault)
    await vault.rotations.retryFailed(id)
    await domain.clock.advance(500)
    const operation = (await vault.rotations.get(id)) as RotationOperation
    expect(operation.expected).toBe(100)
  })

  test('fits into its document when the promotion waits for hundreds of instances', async () => {
    const domain = await seeded(1)
    const report = await reportOf(domain)
    for (let index = 0; index < 400; index += 1) {
      const instanceId = `01a2061b-8987-70aa-a721-${String(index).padStart(12, '0')}`
      const process = `gateway-deployment-7d9f8b6c5d-${index}.gateway.svc/4711`
      const value = JSON.stringify({ ...report, instanceId, process })
      expect(await domain.store.writeDocument(`instance/${instanceId}`, 0, value)).toBe(1)
    }
    const vault = kept(await domain.open(BOTH_WISH_V2))
    const { id, started } = await vault.rotate()
    expect(started).toBe(true)
    expect((await vault.rotations.get(id))?.waitingFor.length).toBeGreaterThan(0)
  })
})

/** Damages one secret and rotates the others. */
async function rotatedButOne(domain: TestDomain, vault: SecretVault): Promise<{ id: string }> {
  const { items } = await domain.store.scan({ cursor: null, limit: 1_000 })
  const [first] = items
  const { revision = 0 } = (await domain.store.readDocument('keyring')) ?? {}
  if (first === undefined) throw new Error('no record')
  const bad = `${first.wrap.slice(0, -3)}${first.wrap.endsWith('AAA') ? 'BBB' : 'AAA'}`
  const secret = { name: first.name, wrap: bad, meta: first.meta }
  expect(await domain.store.write(revision, [{ kind: 'rewrap', expectedWrap: first.wrap, secret }])).toEqual([
    'done',
  ])
  const { id } = await vault.rotate({ ratePerSecond: 1_000 })
  expect((await finished(domain, vault, id)).totals).toMatchObject({ rewrapped: 99, failed: 1 })
  return { id }
}

/** The report of an instance that holds v1 only. */
async function reportOf(domain: TestDomain): Promise<object> {
  const vault = await domain.open(ONLY_V1)
  const stored = await domain.store.readDocument(`instance/${vault.instanceId}`)
  await vault.close()
  return JSON.parse(stored?.value ?? '{}') as object
}
