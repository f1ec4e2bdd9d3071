import { expect } from 'vitest'
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
      truth: underV2(['a v1 v2', 'b v1 v2', 'c silent'], WHILE_STALE),
    },
    {
      label: 'c comes back with v2',
      run: async (stage) => {
        await stage.start('c', 'new')
      },
      truth: underV2([...ALL_NEW, 'c silent'], WHILE_STALE),
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
      truth: underV2(['a v1 v2', 'b v1 v2', 'c silent'], WHILE_STALE),
    },
    {
      label: 'c goes on',
      run: async (stage) => {
        await stage.of('c').thaw()
        await stage.work('v2')
        expect(stage.of('c').late).toEqual(['v1 fenced', 'v2 done'])
      },
      truth: underV2(ALL_NEW, WHILE_STALE),
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
      truth: underV2(['a v1 v2', 'b v1 v2', 'c silent'], WHILE_STALE),
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
    { label: 'c gets v2', run: restart('c', 'new'), truth: underV2(ALL_NEW, WHILE_STALE) },
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
      truth: underV2(['a v1 v2', 'b v1 v2'], WHILE_STALE),
    },
    {
      label: 'c comes back with v2',
      run: async (stage) => {
        await stage.start('c', 'new')
      },
      truth: underV2(ALL_NEW, WHILE_STALE),
    },
    { label: 'c rotates', run: rotate('c'), truth: underV2(ALL_NEW, LEFT) },
  ],
}

/** Roll-outs in which a process ends or stops where it should not. */
export const INTERRUPTED = [killed, frozenWithBoth, frozenOld, closesWithWrite]
