import type { Comparison, Heat } from '../measure/report.ts'
import type { Targets } from '../measure/targets.ts'
import { floorContenders, hmacContenders } from './floor.ts'
import { OTHERS } from './others.ts'
import { SIZES, sampleValue } from './sample.ts'
import { talosContenders } from './talos.ts'

/** How many values `rewrapMany` is given at once. */
const MANY = 1000

/** What has to hold, by name of the ratio. Against cloak it depends on what a raw key costs on that line of Node. */
export const CODEC_TARGETS: Targets = {
  'wrap+unwrap/64B/floor': 0.55,
  'wrap+unwrap/64B/aws': 20,
  'wrap+unwrap/64B/jose': 12,
  'wrap+unwrap/64B/cloak': { '22': 0.5, '24': 1.2, '26': 0.5 },
  'rewrapMany/64B/hmacs': 0.5,
}

/**
 * Makes the heats of the suite one after the other, one for each size of values.
 *
 * @returns The heats.
 */
export async function* codecHeats(): AsyncGenerator<Heat> {
  for (const [size, bytes] of Object.entries(SIZES)) {
    const value = sampleValue(bytes)
    const others = await Promise.all(Object.values(OTHERS).map((make) => make(value)))
    const contenders = [
      ...floorContenders(value),
      ...(await talosContenders(value, MANY)),
      ...others.flat(),
      ...hmacContenders(MANY),
    ]
    yield { title: size, contenders, comparisons: codecComparisons(size) }
  }
}

/**
 * Lists the ratios of one size.
 *
 * @param size - As in {@link SIZES}.
 * @returns The comparisons, with stable names `<operation>/<size>/<other side>`.
 */
export function codecComparisons(size: string): readonly Comparison[] {
  const wrap = ['talos wrap']
  const unwrap = ['talos unwrap']
  const rewrap = ['talos rewrap']
  const rewrapMany = ['talos rewrapMany']
  const against = (
    side: string,
    pairs: Readonly<Record<string, readonly [ours: readonly string[], theirs: readonly string[]]>>,
  ): Comparison[] =>
    Object.entries(pairs).map(([operation, [ours, theirs]]) => ({
      name: `${operation}/${size}/${side}`,
      ours,
      theirs,
    }))
  const floorBoth = ['floor wrap', 'floor unwrap']
  const floor = [
    ...against('floor', {
      wrap: [wrap, ['floor wrap']],
      unwrap: [unwrap, ['floor unwrap']],
      'wrap+unwrap': [[...wrap, ...unwrap], floorBoth],
      rewrap: [rewrap, ['floor rewrap']],
      rewrapMany: [rewrapMany, ['floor rewrap']],
    }),
    ...against('hmacs', { rewrapMany: [rewrapMany, ['hmac fresh']] }),
    ...against('cachedHmacs', { rewrapMany: [rewrapMany, ['hmac cached']] }),
    ...against('oneByOne', { rewrapMany: [rewrapMany, ['talos rewrap each']] }),
  ]
  // Whoever cannot rewrap opens the value and encrypts it again.
  const others = Object.keys(OTHERS).flatMap((side) => {
    const both = [`${side} encrypt`, `${side} decrypt`]
    return against(side, {
      wrap: [wrap, [`${side} encrypt`]],
      unwrap: [unwrap, [`${side} decrypt`]],
      'wrap+unwrap': [[...wrap, ...unwrap], both],
      rewrap: [rewrap, both],
      rewrapMany: [rewrapMany, both],
      floor: [floorBoth, both],
    })
  })
  return [...floor, ...others]
}
