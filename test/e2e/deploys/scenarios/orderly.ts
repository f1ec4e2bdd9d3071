import { expect } from 'vitest'
import type { Truth } from '../truth.ts'
import { ALL_NEW, LEFT, restart, rotate, type Scenario, underV1, underV2, WHILE_STALE } from './step.ts'

const provisionedFirst: Scenario = {
  name: 'v2 is added everywhere first, then named as current',
  promoted: 'at opening',
  steps: [
    { label: 'a gets v2', run: restart('a', 'added'), truth: underV1(['a v1 v2', 'b v1', 'c v1']) },
    { label: 'b gets v2', run: restart('b', 'added'), truth: underV1(['a v1 v2', 'b v1 v2', 'c v1']) },
    { label: 'c gets v2', run: restart('c', 'added'), truth: underV1(ALL_NEW) },
    {
      label: 'a names v2',
      run: restart('a', 'new'),
      truth: underV2(ALL_NEW, WHILE_STALE),
    },
    {
      label: 'b names v2',
      run: restart('b', 'new'),
      truth: underV2(ALL_NEW, WHILE_STALE),
    },
    {
      label: 'c names v2',
      run: restart('c', 'new'),
      truth: underV2(ALL_NEW, WHILE_STALE),
    },
    { label: 'b rotates', run: rotate('b'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

/** The fleets of a roll-out of both at once, one pod after the other, and whom each waits for. */
const ORDERS: readonly (readonly [
  string,
  readonly string[],
  Truth['pending'],
  readonly string[],
  Truth['pending'],
])[] = [
  [
    'abc',
    ['a v1 v2', 'b v1', 'c v1'],
    { b: 'kek_missing', c: 'kek_missing' },
    ['a v1 v2', 'b v1 v2', 'c v1'],
    { c: 'kek_missing' },
  ],
  [
    'acb',
    ['a v1 v2', 'b v1', 'c v1'],
    { b: 'kek_missing', c: 'kek_missing' },
    ['a v1 v2', 'b v1', 'c v1 v2'],
    { b: 'kek_missing' },
  ],
  [
    'bac',
    ['a v1', 'b v1 v2', 'c v1'],
    { a: 'kek_missing', c: 'kek_missing' },
    ['a v1 v2', 'b v1 v2', 'c v1'],
    { c: 'kek_missing' },
  ],
  [
    'bca',
    ['a v1', 'b v1 v2', 'c v1'],
    { a: 'kek_missing', c: 'kek_missing' },
    ['a v1', 'b v1 v2', 'c v1 v2'],
    { a: 'kek_missing' },
  ],
  [
    'cab',
    ['a v1', 'b v1', 'c v1 v2'],
    { a: 'kek_missing', b: 'kek_missing' },
    ['a v1 v2', 'b v1', 'c v1 v2'],
    { b: 'kek_missing' },
  ],
  [
    'cba',
    ['a v1', 'b v1', 'c v1 v2'],
    { a: 'kek_missing', b: 'kek_missing' },
    ['a v1', 'b v1 v2', 'c v1 v2'],
    { a: 'kek_missing' },
  ],
]

const bothAtOnce = ORDERS.map(([order, once, waitingForTwo, twice, waitingForOne]): Scenario => {
  const [first = '', second = '', third = ''] = order
  return {
    name: `v2 is added and named at once, in the order ${[...order].join(', ')}`,
    promoted: 1,
    steps: [
      { label: `${first} gets v2`, run: restart(first, 'new'), truth: underV1(once, waitingForTwo) },
      { label: `${second} gets v2`, run: restart(second, 'new'), truth: underV1(twice, waitingForOne) },
      {
        label: `${third} gets v2`,
        run: restart(third, 'new'),
        truth: underV2(ALL_NEW, WHILE_STALE),
      },
      { label: `${second} rotates`, run: rotate(second), truth: underV2(ALL_NEW, LEFT) },
    ],
  }
})

const neverUpdated: Scenario = {
  name: 'c is never updated',
  promoted: 'never',
  steps: [
    {
      label: 'a gets v2',
      run: restart('a', 'new'),
      truth: underV1(['a v1 v2', 'b v1', 'c v1'], { b: 'kek_missing', c: 'kek_missing' }),
    },
    {
      label: 'b gets v2',
      run: restart('b', 'new'),
      truth: underV1(['a v1 v2', 'b v1 v2', 'c v1'], { c: 'kek_missing' }),
    },
    {
      label: 'two leases pass',
      run: (stage) => stage.beats(6),
      truth: underV1(['a v1 v2', 'b v1 v2', 'c v1'], { c: 'kek_missing' }),
    },
  ],
}

const rolledBack: Scenario = {
  name: 'c is rolled back afterwards to an environment that names v1',
  promoted: 1,
  steps: [
    {
      label: 'all get v2',
      run: async (stage) => {
        for (const slot of ['a', 'b', 'c']) await stage.restart(slot, 'new')
      },
      truth: underV2(ALL_NEW, WHILE_STALE),
    },
    {
      label: 'c is rolled back',
      run: async (stage) => {
        const back = await stage.start('d', 'added')
        await stage.stop('c')
        const { wishedKekId, notices } = await back.ask('status', null)
        expect(wishedKekId).toBe('v1')
        expect(notices).toContainEqual(expect.stringContaining('"v1" was current before "v2"'))
        await expect(back.ask('rotate', null)).rejects.toMatchObject({
          fault: { code: 'ERR_PROMOTION_BLOCKED' },
        })
      },
      truth: underV2(['a v1 v2', 'b v1 v2', 'd v1 v2'], WHILE_STALE),
    },
    { label: 'a rotates', run: rotate('a'), truth: underV2(['a v1 v2', 'b v1 v2', 'd v1 v2'], LEFT) },
  ],
}

/** Roll-outs in every order, and one that is undone in part. */
export const ORDERLY = [provisionedFirst, ...bothAtOnce, neverUpdated, rolledBack]
