import { expect, test } from 'vitest'
import { redisMemoryRows } from '../stores/redis-memory.ts'

const MEBIBYTE = 1_048_576

test('a rotation needs as much memory for many secrets as for few', async () => {
  const rows = await redisMemoryRows([1_000, 10_000])
  for (const { secrets, rotations, peakBytes } of rows) {
    console.log(
      `${rotations} rotations of ${secrets} secrets: at most ${Math.round(peakBytes / MEBIBYTE)} MiB`,
    )
  }
  const [few, many] = rows.map(({ peakBytes }) => peakBytes) as [number, number]
  expect(many / few).toBeLessThan(1.4)
}, 60_000)
