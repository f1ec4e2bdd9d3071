import { describe, expect, it } from 'vitest'
import { streamEvents } from '../../src/handlers/live.ts'
import { LiveFeed } from '../../src/live-feed.ts'
import { until } from '../support/served.ts'
import { openTestVault, testStore } from '../support/test-vault.ts'

async function textOf(stream: ReadableStream<string>, enough: (text: string) => boolean): Promise<string> {
  const reader = stream.getReader()
  let text = ''
  while (!enough(text)) {
    const { done, value } = await reader.read()
    if (done) break
    text += value
  }
  reader.releaseLock()
  return text
}

const may = async (): Promise<boolean> => true

describe('the live feed', () => {
  it('gives up a client that takes nothing, with at most 256 Ki characters waiting for it', async () => {
    await using vault = await openTestVault(testStore())
    let size = 0
    const growing = new Proxy(vault, {
      get: (target, property: keyof typeof vault) =>
        property === 'status'
          ? async () => {
              size += 1
              return { ...(await target.status()), notices: [`${size}`, 'x'.repeat(100_000)] }
            }
          : target[property],
    })
    const feed = new LiveFeed(growing, 5, { rotationsEveryMs: 5, statusEveryMs: 5, heartbeatMs: 1_000 })
    const slow = feed.open(may)
    const quick = feed.open(may)
    const text = await textOf(quick, (seen) => (seen.match(/event: keks/g) ?? []).length >= 6)
    expect(text.length).toBeGreaterThan(500_000)
    const reader = slow.getReader()
    const taken: string[] = []
    const givenUp = await (async () => {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return 'ended'
        taken.push(value)
      }
    })().catch((error: unknown) => error)
    expect(givenUp).toMatchObject({ message: 'The client does not take its events.' })
    expect(taken.join('').length).toBeLessThanOrEqual(262_144)
    feed.close()
  })

  it('gives up a client that has taken nothing between two heartbeats, and keeps the others', async () => {
    await using vault = await openTestVault(testStore())
    const feed = new LiveFeed(vault, 5, { heartbeatMs: 20 })
    const slow = feed.open(may)
    const text = await textOf(feed.open(may), (seen) => (seen.match(/^:$/gm) ?? []).length >= 4)
    expect(text).toContain('event: keks')
    await expect(slow.getReader().read()).rejects.toThrow('does not take its events')
    feed.close()
  })

  it('ends a stream after its longest time: whoever comes back shows a token again', async () => {
    await using vault = await openTestVault(testStore())
    const feed = new LiveFeed(vault, 5, { heartbeatMs: 10, longestMs: 50 })
    const text = await textOf(feed.open(may), () => false)
    expect(text).toContain('event: keks')
  })

  it('ends the stream of a client that may not follow any more, at the next heartbeat, and no other', async () => {
    await using vault = await openTestVault(testStore())
    const feed = new LiveFeed(vault, 5, { heartbeatMs: 10 })
    let mayFollow: () => Promise<boolean> = async () => true
    const leaving = textOf(
      feed.open(() => mayFollow()),
      () => false,
    )
    const staying = textOf(feed.open(may), (seen) => (seen.match(/^:$/gm) ?? []).length >= 20)
    for (const refusal of [async () => false, () => Promise.reject(new Error('the directory is away'))]) {
      mayFollow = async () => true
      const other = textOf(
        feed.open(() => mayFollow()),
        () => false,
      )
      mayFollow = refusal
      expect(await other).toContain('retry: 2000')
    }
    expect(await leaving).toContain('retry: 2000')
    expect(await staying).toContain('event: keks')
    feed.close()
  })

  it('is told to ask what the route asks for', async () => {
    await using vault = await openTestVault(testStore())
    const feed = new LiveFeed(vault, 5, { heartbeatMs: 10 })
    const asked: string[] = []
    const mayDo = async (operation: string): Promise<boolean> => asked.push(operation) < 3
    const answer = await streamEvents(feed)({ mayDo } as never)
    if (!('stream' in answer)) throw new Error('the answer is no stream')
    expect(await textOf(answer.stream, () => false)).toContain('retry: 2000')
    expect(asked).toEqual(['streamEvents', 'streamEvents', 'streamEvents'])
  })

  it('asks the vault for nothing once nobody follows', async () => {
    const store = testStore()
    await using vault = await openTestVault(store)
    let looks = 0
    const counting = new Proxy(vault, {
      get: (target, property: keyof typeof vault) => {
        if (property === 'rotations') looks += 1
        return target[property]
      },
    })
    const feed = new LiveFeed(counting, 5, { rotationsEveryMs: 5 })
    const stream = feed.open(may)
    await until(
      async () => looks,
      (seen) => seen >= 3,
    )
    await stream.cancel()
    const atCancel = looks
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(looks - atCancel).toBeLessThanOrEqual(1)
  })
})
