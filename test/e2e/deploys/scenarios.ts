import { expect } from 'vitest'
import type { Stage, Template } from './stage.ts'
import type { Truth } from './truth.ts'

/** One step of a roll-out, and what every instance must come to say of it. */
export interface Step {
  readonly label: string
  readonly run: (stage: Stage) => Promise<void>
  readonly truth: Truth
}

/** A roll-out from three instances under v1. */
export interface Scenario {
  readonly name: string
  readonly steps: readonly Step[]
  /** At most so many leases after the last old process was gone, or before the vault of a restarted one was open. */
  readonly promoted: number | 'at opening' | 'never'
}

type Run = Step['run']

const restart =
  (slot: string, template: Template): Run =>
  (stage) =>
    stage.restart(slot, template)
const rotate =
  (slot: string): Run =>
  (stage) =>
    stage.rotate(slot)

const messagesOfPending = async (stage: Stage, slot: string): Promise<readonly string[]> => {
  const { pending } = await stage.of(slot).ask('status', null)
  return pending?.waitingFor.map(({ message }) => message) ?? []
}
const BOTH_FINGERPRINTS = expect.stringMatching(
  /holds other bytes .* \(fingerprint [0-9a-f]{16}, expected [0-9a-f]{16}\)/,
)

// Reasons against the retirement of v1, in the order of the clauses.
const RECORDS = 'S1 records_remain'
const IN_USE = 'S7 is_current'
const NO_ESCROW = 'S9 escrow_not_recorded'
// The servers of tests run without fsync, and the store says so.
const ADVISORY = 'S3 store_advisory'
const WHILE_CURRENT = [RECORDS, ADVISORY, IN_USE, NO_ESCROW]
const LEFT = [ADVISORY, NO_ESCROW]

const underV1 = (fleet: readonly string[], pending: Truth['pending'] = null): Truth => ({
  current: 'v1',
  pending,
  fleet,
  retirement: WHILE_CURRENT,
})
const underV2 = (fleet: readonly string[], retirement: readonly string[]): Truth => ({
  current: 'v2',
  pending: null,
  fleet,
  retirement,
})

const ALL_OLD = ['a v1', 'b v1', 'c v1']
const ALL_NEW = ['a v1 v2', 'b v1 v2', 'c v1 v2']

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
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'b names v2',
      run: restart('b', 'new'),
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'c names v2',
      run: restart('c', 'new'),
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
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
        truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
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
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'c is rolled back',
      run: async (stage) => {
        const back = await stage.start('d', 'added')
        await stage.stop('c')
        const { wishedKekId, notices } = await back.ask('status', null)
        expect(wishedKekId).toBe('v1')
        expect(notices).toContainEqual(expect.stringContaining('"v1" was current before "v2"'))
      },
      truth: underV2(['a v1 v2', 'b v1 v2', 'd v1 v2'], [RECORDS, ADVISORY, NO_ESCROW]),
    },
    { label: 'a rotates', run: rotate('a'), truth: underV2(['a v1 v2', 'b v1 v2', 'd v1 v2'], LEFT) },
  ],
}

const otherBytesBefore: Scenario = {
  name: 'c has other bytes under v2 before the promotion, and is corrected',
  promoted: 1,
  steps: [
    {
      label: 'a gets v2',
      run: restart('a', 'new'),
      truth: underV1(['a v1 v2', 'b v1', 'c v1'], { b: 'kek_missing', c: 'kek_missing' }),
    },
    {
      label: 'c gets other bytes',
      run: restart('c', 'wrong'),
      truth: underV1(['a v1 v2?', 'b v1', 'c v1 v2?'], { b: 'kek_missing', c: 'other_bytes' }),
    },
    {
      label: 'b gets v2, and two leases pass',
      run: async (stage) => {
        await stage.restart('b', 'new')
        await stage.beats(6)
        for (const slot of ['a', 'b', 'c'])
          expect(await messagesOfPending(stage, slot)).toEqual([BOTH_FINGERPRINTS])
      },
      truth: underV1(['a v1 v2?', 'b v1 v2?', 'c v1 v2?'], { c: 'other_bytes' }),
    },
    {
      label: 'c is corrected',
      run: restart('c', 'new'),
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    { label: 'c rotates', run: rotate('c'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

const otherBytesAfter: Scenario = {
  name: 'c gets other bytes under v2 after the promotion',
  promoted: 1,
  steps: [
    {
      label: 'all get v2',
      run: async (stage) => {
        for (const slot of ['b', 'c', 'a']) await stage.restart(slot, 'new')
      },
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'c gets other bytes',
      run: restart('c', 'wrong'),
      truth: {
        ...underV2(
          ['a v1 v2', 'b v1 v2', 'c v1 v2? disagrees'],
          [RECORDS, ADVISORY, 'S6 instance_disagrees c', NO_ESCROW],
        ),
        notReady: { c: 'ERR_KEK_MISMATCH v2' },
      },
    },
    {
      label: 'a rotates',
      run: rotate('a'),
      truth: {
        ...underV2(
          ['a v1 v2', 'b v1 v2', 'c v1 v2? disagrees'],
          [ADVISORY, 'S6 instance_disagrees c', NO_ESCROW],
        ),
        notReady: { c: 'ERR_KEK_MISMATCH v2' },
      },
    },
    { label: 'c is corrected', run: restart('c', 'new'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

const killed: Scenario = {
  name: 'c is killed during the roll-out',
  promoted: 2,
  steps: [
    {
      label: 'a and b get v2',
      run: async (stage) => {
        for (const slot of ['a', 'b']) await stage.restart(slot, 'new')
      },
      truth: underV1(['a v1 v2', 'b v1 v2', 'c v1'], { c: 'kek_missing' }),
    },
    {
      label: 'c is killed',
      run: (stage) => stage.kill('c'),
      truth: underV2(['a v1 v2', 'b v1 v2', 'c silent'], [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'c comes back with v2',
      run: async (stage) => {
        await stage.start('c', 'new')
      },
      truth: underV2([...ALL_NEW, 'c silent'], [RECORDS, ADVISORY, NO_ESCROW]),
    },
    { label: 'c rotates', run: rotate('c'), truth: underV2([...ALL_NEW, 'c silent'], LEFT) },
  ],
}

const frozenWithBoth: Scenario = {
  name: 'c, which holds both, is stopped between wrap and write across the promotion',
  promoted: 'at opening',
  steps: [
    {
      label: 'all get v2',
      run: async (stage) => {
        for (const slot of ['a', 'b', 'c']) await stage.restart(slot, 'added')
      },
      truth: underV1(ALL_NEW),
    },
    {
      label: 'c is stopped, and a names v2',
      run: async (stage) => {
        await stage.freeze('c')
        await stage.restart('a', 'new')
      },
      truth: underV2(['a v1 v2', 'b v1 v2', 'c silent'], [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'c goes on',
      run: async (stage) => {
        await stage.of('c').thaw()
        await stage.work('v2')
        expect(stage.of('c').late).toEqual(['v1 fenced', 'v2 done'])
      },
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    { label: 'b rotates', run: rotate('b'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

const frozenOld: Scenario = {
  name: 'c, which holds v1 only, is stopped between wrap and write across the promotion',
  promoted: 2,
  steps: [
    {
      label: 'a and b get v2',
      run: async (stage) => {
        for (const slot of ['a', 'b']) await stage.restart(slot, 'new')
      },
      truth: underV1(['a v1 v2', 'b v1 v2', 'c v1'], { c: 'kek_missing' }),
    },
    {
      label: 'c is stopped, and its lease ends',
      run: (stage) => stage.freeze('c'),
      truth: underV2(['a v1 v2', 'b v1 v2', 'c silent'], [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'c goes on',
      run: async (stage) => {
        await stage.of('c').thaw()
        await stage.work('v2')
        expect(stage.of('c').late).toEqual(['v1 fenced'])
      },
      truth: {
        ...underV2(
          ['a v1 v2', 'b v1 v2', 'c v1 disagrees'],
          [RECORDS, ADVISORY, 'S6 instance_disagrees c', NO_ESCROW],
        ),
        notReady: { c: 'ERR_KEK_NOT_LOADED v2' },
      },
    },
    { label: 'c gets v2', run: restart('c', 'new'), truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]) },
    { label: 'c rotates', run: rotate('c'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

const closesWithWrite: Scenario = {
  name: 'c, which holds v1 only, is told to end with a write in flight',
  promoted: 1,
  steps: [
    {
      label: 'a and b get v2',
      run: async (stage) => {
        for (const slot of ['a', 'b']) await stage.restart(slot, 'new')
      },
      truth: underV1(['a v1 v2', 'b v1 v2', 'c v1'], { c: 'kek_missing' }),
    },
    {
      label: 'c is told to end, and two leases pass',
      run: async (stage) => {
        await stage.of('c').holdWrite()
        stage.of('c').beginToClose()
        await stage.beats(6)
      },
      truth: underV1(['a v1 v2', 'b v1 v2', 'c v1'], { c: 'kek_missing' }),
    },
    {
      label: 'its write ends',
      run: async (stage) => {
        stage.noteGone()
        await stage.of('c').endOfClosing()
        expect(stage.of('c').late).toEqual(['v1 done'])
        expect(stage.of('c').refusals).toEqual([])
      },
      truth: underV2(['a v1 v2', 'b v1 v2'], [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'c comes back with v2',
      run: async (stage) => {
        await stage.start('c', 'new')
      },
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    { label: 'c rotates', run: rotate('c'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

const oldTemplate: Scenario = {
  name: 'd is started from the old template after the promotion',
  promoted: 1,
  steps: [
    {
      label: 'all get v2',
      run: async (stage) => {
        for (const slot of ['c', 'a', 'b']) await stage.restart(slot, 'new')
      },
      truth: underV2(ALL_NEW, [RECORDS, ADVISORY, NO_ESCROW]),
    },
    {
      label: 'd starts with v1 only',
      run: async (stage) => {
        const pod = await stage.start('d', 'old')
        const read = await pod.ask('readAll', ['seed-0', 'a-0'])
        expect(read).toMatchObject({
          'seed-0': 'seed-0#0',
          'a-0': { code: 'ERR_KEK_NOT_LOADED', kekId: 'v2' },
        })
      },
      truth: {
        ...underV2([...ALL_NEW, 'd v1 disagrees'], [RECORDS, ADVISORY, 'S6 instance_disagrees d', NO_ESCROW]),
        notReady: { d: 'ERR_KEK_NOT_LOADED v2' },
      },
    },
    {
      label: 'a rotates',
      run: rotate('a'),
      truth: {
        ...underV2([...ALL_NEW, 'd v1 disagrees'], [ADVISORY, 'S6 instance_disagrees d', NO_ESCROW]),
        notReady: { d: 'ERR_KEK_NOT_LOADED v2' },
      },
    },
    { label: 'd is scaled down', run: (stage) => stage.stop('d'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

/** The fleet before any step. */
export const BEFORE: Truth = underV1(ALL_OLD)

export const SCENARIOS: readonly Scenario[] = [
  provisionedFirst,
  ...bothAtOnce,
  neverUpdated,
  rolledBack,
  otherBytesBefore,
  otherBytesAfter,
  killed,
  frozenWithBoth,
  frozenOld,
  closesWithWrite,
  oldTemplate,
]
