import { randomBytes } from 'node:crypto'
import { createCodec, explicitKeys } from '@talos/envelope'
import type { Contender } from '../measure/rounds.ts'
import { sampleContext } from './sample.ts'

/**
 * The codec under measurement. Rewraps go from one KEK to another, as in a rotation.
 *
 * @param value - The value, as text.
 * @param count - How many values `rewrapMany` is given at once.
 * @returns Contenders `talos wrap`, `talos unwrap`, `talos rewrap`, `talos rewrapMany` and, for the same
 * values one after the other, `talos rewrap each`.
 */
export async function talosContenders(value: string, count: number): Promise<readonly Contender[]> {
  const keks = { v1: randomBytes(32), v2: randomBytes(32) }
  const maxValueBytes = Math.max(value.length, 65_536)
  const before = await createCodec({ keys: explicitKeys({ keks, currentKekId: 'v1' }), maxValueBytes })
  const codec = await createCodec({ keys: explicitKeys({ keks, currentKekId: 'v2' }), maxValueBytes })
  const context = sampleContext(1)
  const current = await codec.wrap(value, context)
  const stale = await before.wrap(value, context)
  const items = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const own = sampleContext(index)
      return { envelope: await before.wrap(value, own), context: own }
    }),
  )
  return [
    { name: 'talos wrap', run: () => codec.wrap(value, context) },
    { name: 'talos unwrap', run: () => codec.unwrap(current, context) },
    { name: 'talos rewrap', run: () => codec.rewrap(stale, context) },
    { name: 'talos rewrapMany', run: () => codec.rewrapMany(items), values: count },
    {
      name: 'talos rewrap each',
      run: async () => {
        for (const item of items) await codec.rewrap(item.envelope, item.context)
      },
      values: count,
    },
  ]
}
