import { expect, it } from 'vitest'
import { measureRounds } from '../measure/rounds.ts'

const PACE = { rounds: 3, warmUpMs: 0, batchMs: 0 }

it('interleaves the contenders: A B A B, after each of them has warmed up', async () => {
  const calls: string[] = []
  const contender = (name: string) => ({ name, run: () => calls.push(name) })
  const times = await measureRounds([contender('A'), contender('B')], PACE)
  expect(calls.join('').slice(-6)).toBe('ABABAB')
  expect([...times.keys()]).toEqual(['A', 'B'])
  expect([...times.values()].map((rounds) => rounds.length)).toEqual([3, 3])
})

it('cleans up before every batch, so that nobody pays for what another one left', async () => {
  const calls: string[] = []
  const contender = (name: string) => ({ name, run: () => calls.push(name) })
  await measureRounds([contender('A'), contender('B')], PACE, () => calls.push('-'))
  expect(calls.join('').slice(-12)).toBe('-A-B-A-B-A-B')
})

it('awaits each call of a contender before the next one', async () => {
  let running = 0
  let most = 0
  const run = async () => {
    running += 1
    most = Math.max(most, running)
    await Promise.resolve()
    running -= 1
  }
  await measureRounds([{ name: 'A', run }], { rounds: 2, warmUpMs: 2, batchMs: 1 })
  expect(most).toBe(1)
})

it('divides the time of a batch by the values it works on', async () => {
  const wait = () => {
    const end = performance.now() + 1
    while (performance.now() < end);
  }
  const times = await measureRounds([{ name: 'A', run: wait, values: 1000 }], PACE)
  for (const time of times.get('A') ?? []) expect(time).toBeGreaterThanOrEqual(1)
  expect(Math.min(...(times.get('A') ?? []))).toBeLessThan(500)
})

it('passes on the error of a contender', async () => {
  const run = async () => {
    throw new Error('no key')
  }
  await expect(measureRounds([{ name: 'A', run }], PACE)).rejects.toThrow('no key')
})

it('prepares every batch without timing that, and makes as many calls as a contender asks for', async () => {
  const calls: string[] = []
  const prepare = () => {
    const end = performance.now() + 2
    while (performance.now() < end);
    calls.push('p')
  }
  const contender = { name: 'A', prepare, calls: 2, run: () => calls.push('A') }
  const times = await measureRounds([contender], PACE)
  // One batch to warm up, and three that count.
  expect(calls.join('')).toBe('pAApAApAApAA')
  for (const time of times.get('A') ?? []) expect(time).toBeLessThan(1_000)
})

it('lets contenders whose calls are timed one by one take turns, and takes the median', async () => {
  const calls: string[] = []
  let number = 0
  const sometimesSlow = () => {
    calls.push('A')
    number += 1
    const end = performance.now() + (number % 3 === 0 ? 5 : 0)
    while (performance.now() < end);
  }
  const times = await measureRounds(
    [
      { name: 'A', run: sometimesSlow, calls: 3, p50: true },
      { name: 'B', run: () => calls.push('B'), calls: 2, p50: true },
    ],
    PACE,
  )
  // Two of B and three of A in each of three rounds, the third turn A's alone.
  expect(calls.join('').slice(-15)).toMatch(/^((AB|BA){2}A){3}$/)
  for (const time of times.get('A') ?? []) expect(time).toBeLessThan(1_000)
})
