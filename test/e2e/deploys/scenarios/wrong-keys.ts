import { expect } from 'vitest'
import type { Stage } from '../stage.ts'
import {
  ADVISORY,
  ALL_NEW,
  LEFT,
  NO_ESCROW,
  RECORDS,
  restart,
  rotate,
  type Scenario,
  underV1,
  underV2,
  WHILE_STALE,
} from './step.ts'

/** How an instance answers to reads of every secret: each code once, `read` for what opens. */
const codesOfReads = async (stage: Stage, slot: string): Promise<readonly string[]> => {
  const read = Object.values(await stage.of(slot).ask('readAll', stage.ledger.names))
  // Under the names that it tried to write itself there is none.
  const found = read.filter((each) => each !== null)
  return [...new Set(found.map((each) => (typeof each === 'string' ? 'read' : `${each.code} ${each.kekId}`)))]
}

/** Whom the promotion waits for and why, in the words of one instance. */
const messagesOfPending = async (stage: Stage, slot: string): Promise<readonly string[]> => {
  const { pending } = await stage.of(slot).ask('status', null)
  return pending?.waitingFor.map(({ message }) => message) ?? []
}

const BOTH_FINGERPRINTS = expect.stringMatching(
  /holds other bytes .* \(fingerprint [0-9a-f]{16}, expected [0-9a-f]{16}\)/,
)
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
      truth: underV2(ALL_NEW, WHILE_STALE),
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
      truth: underV2(ALL_NEW, WHILE_STALE),
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
      run: async (stage) => {
        await stage.rotate('a')
        expect(await codesOfReads(stage, 'c')).toEqual(['ERR_KEK_MISMATCH v2'])
      },
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

const oldTemplate: Scenario = {
  name: 'd is started from the old template after the promotion',
  promoted: 1,
  steps: [
    {
      label: 'all get v2',
      run: async (stage) => {
        for (const slot of ['c', 'a', 'b']) await stage.restart(slot, 'new')
      },
      truth: underV2(ALL_NEW, WHILE_STALE),
    },
    {
      label: 'd starts with v1 only',
      run: async (stage) => {
        const pod = await stage.start('d', 'old')
        await stage.put('a', 'after-0')
        const read = await pod.ask('readAll', ['seed-0', 'after-0'])
        expect(read).toMatchObject({
          'seed-0': 'seed-0#0',
          'after-0': { code: 'ERR_KEK_NOT_LOADED', kekId: 'v2' },
        })
      },
      truth: {
        ...underV2([...ALL_NEW, 'd v1 disagrees'], [RECORDS, ADVISORY, 'S6 instance_disagrees d', NO_ESCROW]),
        notReady: { d: 'ERR_KEK_NOT_LOADED v2' },
      },
    },
    {
      label: 'a rotates',
      run: async (stage) => {
        await stage.rotate('a')
        expect(await codesOfReads(stage, 'd')).toEqual(['ERR_KEK_NOT_LOADED v2'])
      },
      truth: {
        ...underV2([...ALL_NEW, 'd v1 disagrees'], [ADVISORY, 'S6 instance_disagrees d', NO_ESCROW]),
        notReady: { d: 'ERR_KEK_NOT_LOADED v2' },
      },
    },
    { label: 'd is scaled down', run: (stage) => stage.stop('d'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

/** Roll-outs with a pod that has other bytes under v2, or lacks it. */
export const WRONG_KEYS = [otherBytesBefore, otherBytesAfter, oldTemplate]
